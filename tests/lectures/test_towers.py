"""Towers process only their own columns and reject unsuitable data; two_inputs follows its formulas."""

import pytest
import torch
from conftest import compose_config

from kindling import UserError
from kindling.cli.build import build
from kindling.lectures.simulated import TwoInputs
from kindling.lectures.towers import Towers


def towers(**model):
    torch.manual_seed(0)
    return Towers([18], 2, task="regression", **model).eval()


def test_it_has_the_layers_of_the_course():
    sizes = [list(p.shape) for p in towers().parameters() if p.dim() == 2]
    left, right = [[128, 10], [128, 128], [32, 128]], [[32, 8], [32, 32], [32, 32]]
    assert sizes == [*left, *right, [28, 64], [64, 28], [1, 64], [16, 28], [1, 16]]
    assert towers()(torch.randn(5, 18)).shape == (5, 2)


def test_its_logits_equal_those_of_its_layers():
    model, x = towers(towers=[[4], [3]], joined=5, heads=[2, 2], activation="tanh"), torch.randn(6, 18)
    (a,), (b,) = ([layer for layer in tower if hasattr(layer, "weight")] for tower in model.towers)
    shared = torch.cat([torch.tanh(a(x[:, :10])), torch.tanh(b(x[:, 10:]))], 1)
    shared = torch.tanh(model.joined[0](shared))
    wanted = [last(torch.tanh(first(shared))) for first, _, last in model.heads]
    torch.testing.assert_close(model(x), torch.cat(wanted, 1))


def test_a_tower_depends_only_on_its_columns():
    model, x = towers(), torch.randn(4, 18)
    moved = x.clone()
    moved[:, 10:] += 1
    seen = [[], []]
    for tower, outputs in zip(model.towers, seen, strict=True):
        tower.register_forward_hook(lambda module, inputs, output, kept=outputs: kept.append(output))
    model(x), model(moved)
    assert torch.equal(*seen[0])
    assert not torch.equal(*seen[1])


def test_gradients_of_a_target_reach_only_its_own_head_and_the_shared_layers():
    model = towers()
    model(torch.randn(4, 18))[:, 0].sum().backward()
    moved = {name.rsplit(".", 2)[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"towers.0", "towers.1", "joined", "heads.0"}


def test_batch_norm_and_dropout_are_in_every_part():
    kinds = [type(m).__name__ for m in towers(batch_norm=True, dropout=0.1).modules()]
    assert (kinds.count("BatchNorm1d"), kinds.count("Dropout")) == (9, 9)


@pytest.mark.parametrize(
    ("shape", "outputs", "model", "message"),
    [
        (
            [8],
            2,
            {},
            r"needs 18 columns for its groups of \[10, 8\], and this data has 8 columns: set",
        ),
        ([1, 28, 28], 2, {}, r"this data has images of shape \[1, 28, 28\]"),
        ([18], 1, {}, r"has 2 heads and this data has 1 targets: set model.heads"),
        ([18], 2, {"towers": [[4]]}, r"has 1 towers for 2 groups: give one tower per group"),
    ],
)
def test_unsuitable_data_is_rejected(shape, outputs, model, message):
    with pytest.raises(UserError, match=message):
        Towers(shape, outputs, task="regression", **model)


def test_three_groups_of_another_table_need_three_overrides():
    args = ["model=towers", "model.groups=[2,3,3]", "model.towers=[[4],[4,5],[6]]", "model.heads=[7]"]
    cfg = compose_config("data=diabetes", *args)
    model = build(cfg.model, **build(cfg.data).model_kwargs())
    assert model.joined[0].in_features == 4 + 5 + 6


def test_the_targets_of_two_inputs_follow_their_formulas_with_noise():
    data = TwoInputs(num_examples=50_000, num_test=10)
    examples = data.load()
    x, y = examples.x.double(), examples.y.double()
    u, v = x[:, :10].sum(1) / 10**0.5, x[:, 10:].sum(1) / 8**0.5
    rest = (y - torch.stack([u * v, (u - v).abs()], 1)).var(0)
    assert rest.tolist() == pytest.approx([data.noise**2] * 2, rel=0.03)
    assert (1 - rest / y.var(0)).mean().item() == pytest.approx(data.best_r2(), abs=5e-4)
    assert torch.equal(data.load().x, examples.x)


def test_neither_group_alone_is_informative_about_the_product():
    x, y = TwoInputs(num_examples=20_000).load().x, TwoInputs(num_examples=20_000).load().y[:, 0]
    for columns in (x[:, :10], x[:, 10:]):
        sums = torch.stack([columns.sum(1), columns.sum(1) ** 2, y])
        assert torch.corrcoef(sums)[2, :2].abs().max() < 0.03


@pytest.mark.slow
def test_the_network_of_the_lecture_is_close_to_the_best_possible(run):
    result = run("experiment=lectures/two_inputs")
    assert TwoInputs().best_r2() - 0.01 < result["metrics"]["test/r2"] < TwoInputs().best_r2() + 0.002
