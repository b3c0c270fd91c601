"""Random numbers of layers are uniform, independent, and the same for a single model and a group of models."""

import pytest
import torch
from torch import nn

from kindling.models.noise import Dropout, Noise, RReLU, draw, seed_noise

STEPS, SAMPLES, UNITS = 2000, 16, 24


def seeded(*layers: Noise, seed: int = 0) -> list[Noise]:
    seed_noise(nn.Sequential(*layers), seed)
    return list(layers)


def kept(layer: Noise) -> torch.Tensor:
    """Return the dropout mask of all steps, standardized to mean 0 and variance 1 if `p` is right."""
    mask = torch.stack([layer(torch.ones(SAMPLES, UNITS)) > 0 for _ in range(STEPS)]).double()
    return (mask - (1 - layer.p)) / (layer.p * (1 - layer.p)) ** 0.5


def z(products: torch.Tensor) -> float:
    """Return the mean of independent products of mean 0 and variance 1, in standard errors."""
    return abs(products.mean().item()) * products.numel() ** 0.5


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9])
def test_the_fraction_of_zeros_is_p_for_every_unit_and_in_every_step(p):
    z_of = kept(*seeded(Dropout(p)))
    assert z(z_of) < 4
    for dims, number in ((0, STEPS), ((1, 2), SAMPLES * UNITS)):
        assert (z_of.mean(dims) * number**0.5).std().item() == pytest.approx(1.0, abs=0.15)


def test_units_samples_steps_layers_and_seeds_are_independent():
    first, second = (kept(layer) for layer in seeded(Dropout(0.3), Dropout(0.3)))
    (other,) = (kept(layer) for layer in seeded(Dropout(0.3), seed=1))
    pairs = {"layers": first * second, "seeds": first * other}
    pairs |= {f"{lag} steps": first[lag:] * first[:-lag] for lag in (1, 2, 3, 19)}
    pairs |= {"units": first[..., 1:] * first[..., :-1], "samples": first[:, 1:] * first[:, :-1]}
    pairs |= {"three steps": first[2:] * first[1:-1] * first[:-2]}
    assert {name: value for name, values in pairs.items() if (value := z(values)) > 4} == {}


def test_the_numbers_of_a_sample_do_not_depend_on_the_batch_size():
    whole, part = (draw(torch.tensor(12345), torch.empty(n, UNITS)) for n in (SAMPLES, 3))
    assert torch.equal(whole[:3], part)


def test_each_model_of_a_group_has_the_numbers_of_its_own_state():
    states, x = torch.tensor([11, 22, 33]), torch.empty(3, SAMPLES, UNITS)
    single = [draw(state.clone(), x[0]) for state in states]
    assert torch.equal(draw(states, x), torch.stack(single))


def test_evaluation_equals_that_of_the_layers_of_torch():
    x = torch.linspace(-2, 2, 20)
    for layer, expected in ((Dropout(0.4), nn.Dropout(0.4)), (RReLU(), nn.RReLU())):
        torch.testing.assert_close(layer.eval()(x), expected.eval()(x))


def test_the_slopes_of_rrelu_are_uniform_between_its_bounds():
    (layer,) = seeded(RReLU())
    slopes = -torch.cat([layer(-torch.ones(1000, dtype=torch.float64)) for _ in range(20)])
    assert 1 / 8 <= slopes.min() < 0.126 < 0.332 < slopes.max() <= 1 / 3
    assert layer(-torch.ones(1000, dtype=torch.float16)).isfinite().all()
    assert slopes.var().item() == pytest.approx((1 / 3 - 1 / 8) ** 2 / 12, rel=0.05)


def test_the_expectation_of_dropout_is_its_input():
    (layer,) = seeded(Dropout(0.25))
    mean = torch.stack([layer(torch.ones(SAMPLES, UNITS)) for _ in range(STEPS)]).mean()
    assert mean.item() == pytest.approx(1.0, abs=0.01)
