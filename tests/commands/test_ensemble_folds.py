"""Ensembles of the folds of a cross-validation, compared with means over seeds and folds in numpy."""

import numpy as np
import pytest
from commands.ensemble_helpers import selected, sigmoid, trainer
from conftest import weights_of
from omegaconf import OmegaConf
from sklearn import metrics as sk

from kindling import UserError
from kindling.cli.build import build
from kindling.commands.ensemble import ensemble

pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped")
FOLDS = [f"{how} data.folds=3 data.fold={fold}" for how in ("seed=0", "seed=1", "seed=2") for fold in range(3)]


@pytest.fixture
def sweep(tmp_path):
    return trainer(tmp_path / "sweep")


def linear_outputs(folder, stage):
    """Return (seed, fold) -> outputs of its linear model in the target's unit, targets, and that unit."""
    outputs = {}
    for file in folder.glob("*/.hydra/config.yaml"):
        cfg, job = OmegaConf.load(file), file.parents[1]
        weight, bias = (value.double().numpy() for value in weights_of(job, "best").values())
        data = build(cfg.data)
        data.setup()
        x, y = (part.double().numpy() for part in data.samples[stage])
        (unit,), (shift,) = data.transform.get("target_std", [1.0]), data.transform.get("target_shift", [0.0])
        outputs[cfg.seed, cfg.data.fold] = (x @ weight.T + bias) * unit + shift, y * unit + shift, unit
    return outputs


def loss_of_probabilities(logits, y, unit):
    return sk.log_loss(y, logits[:, 0])


def loss_of_values(values, y, unit):
    return sk.mean_squared_error(y / unit, values / unit)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "link", "loss"),
    [("diabetes", sigmoid, loss_of_probabilities), ("dates", np.asarray, loss_of_values)],
)
def test_the_folds_of_a_variant_are_one_candidate(sweep, data, link, loss):
    folder = sweep(f"data={data}", "model=linear", variants=FOLDS)
    found, val, test = ensemble(folder), linear_outputs(folder, "val"), linear_outputs(folder, "test")

    def cost(seeds):
        """Return the mean over the folds, whose models have not seen the fold."""
        means = [np.mean([link(val[seed, fold][0]) for seed in seeds], 0) for fold in range(3)]
        return np.mean([loss(mean, *val[0, fold][1:]) for fold, mean in enumerate(means)])

    seeds = selected(3, cost)
    shares = np.bincount(seeds, minlength=3) / len(seeds)
    for job in found["jobs"]:
        seed = OmegaConf.load(folder / job / ".hydra" / "config.yaml").seed
        assert found["weights"].get(job, 0) == pytest.approx(shares[seed] / 3)
    assert found["validation"]["metrics"]["val/loss"] == pytest.approx(cost(seeds), rel=1e-5)
    assert found["validation"]["rows"] == sum(len(val[0, fold][1]) for fold in range(3))
    mean = np.mean([link(test[seed, fold][0]) for seed in seeds for fold in range(3)], 0)
    _, y, unit = test[0, 0]
    assert found["metrics"]["test/loss"] == pytest.approx(loss(mean, y, unit), rel=1e-5)


def test_a_variant_without_one_of_the_folds_is_left_out(sweep):
    folder = sweep("data=blobs", variants=FOLDS)
    for lost in ("seed=1", "seed=2"):
        file = next(folder.glob(f"*{lost}*fold=2*/result.json"))
        file.write_text(file.read_text().replace('"finished"', '"failed"'))
        jobs = ensemble(folder)["jobs"]
        assert not [job for job in jobs if lost in job]
    assert len(jobs) == 3


@pytest.mark.slow
def test_folds_and_other_splits_are_not_mixed(sweep):
    variants = [*FOLDS[:6], "seed=0", "seed=1"]
    with pytest.raises(UserError, match="have different data: an ensemble needs jobs on the same data"):
        ensemble(sweep("data=blobs", variants=variants))
