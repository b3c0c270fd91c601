"""Ensembles of a sweep's jobs, compared with scikit-learn's metrics of probabilities averaged in numpy."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import weights_of
from omegaconf import OmegaConf
from sklearn import metrics as sk

from kindling import UserError
from kindling.cli.build import build
from kindling.commands.ensemble import ensemble, scores, table
from kindling.models.linear import Linear

trained_together = pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped").trained_together
LAYERS = ("0.weight", "0.bias", "2.weight", "2.bias")


@pytest.fixture
def sweep(tmp_path):
    """sweep("data=blobs", ...) trains two seeds with these overrides and returns the sweep's folder."""

    def train(*args: str, variants=("seed=0", "seed=1")):
        folder = tmp_path / "sweep"
        folder.mkdir()
        small = ["epochs=2", "lr=0.05", "depth=1", "width=4", *args]
        trained_together(folder, [[*small, *own.split()] for own in variants])
        return folder

    return train


def by_hand(folder):
    """Return the ensemble, its data, both members' logits (2, N, num_outputs) computed in numpy, and the targets."""
    members = []
    for job in (found := ensemble(folder))["jobs"]:
        cfg, weights = OmegaConf.load(folder / job / ".hydra" / "config.yaml"), weights_of(folder / job, "best")
        data = build(cfg.data)
        data.setup()
        x, y = (part.double().numpy() for part in data.samples["test"])
        w1, b1, w2, b2 = (weights[f"net.{name}"].double().numpy() for name in LAYERS)
        members.append(np.maximum(0, x @ w1.T + b1) @ w2.T + b2)
    return found, data, np.stack(members), y


def test_binary_probabilities_are_averaged(sweep):
    found, _, logits, y = by_hand(sweep("data=diabetes"))
    each = 1 / (1 + np.exp(-logits))
    p = each.mean(0)
    assert found["metrics"]["test/loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-6)
    assert found["metrics"]["test/accuracy"] == pytest.approx(sk.accuracy_score(y, p > 0.5))
    assert found["metrics"]["test/auroc"] == pytest.approx(sk.roc_auc_score(y, p))
    assert found["members"]["test/loss"] == pytest.approx([sk.log_loss(y, own) for own in each], abs=1e-6)


def test_softmax_probabilities_are_averaged(sweep):
    found, _, logits, y = by_hand(sweep("data=blobs", "data.centres=3", "data.num_test=200"))
    p = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).mean(0)
    assert found["metrics"]["test/loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-6)
    assert found["metrics"]["test/accuracy"] == pytest.approx(sk.accuracy_score(y, p.argmax(1)))
    assert found["metrics"]["test/f1"] == pytest.approx(sk.f1_score(y, p.argmax(1), average="macro"))


def test_regression_values_are_averaged_in_the_units_of_the_target(sweep):
    found, data, values, y = by_hand(sweep("data=dates"))
    unit = data.transform["target_std"][0]
    assert found["metrics"]["test/mae"] == pytest.approx(unit * sk.mean_absolute_error(y, values.mean(0)), rel=1e-5)
    assert found["metrics"]["test/r2"] == pytest.approx(sk.r2_score(y, values.mean(0)), abs=1e-6)
    # The squared error of a mean is under the mean of the squared errors (Krogh and Vedelsby 1995).
    assert found["metrics"]["test/mse"] < np.mean(found["members"]["test/mse"])


def test_the_metrics_of_a_member_equal_those_of_its_own_test(sweep):
    from kindling.training.evaluate import evaluate

    folder = sweep("data=diabetes")
    found = ensemble(folder)
    for i, job in enumerate(found["jobs"]):
        own = {name: values[i] for name, values in found["members"].items()}
        assert own == pytest.approx(evaluate(folder / job), abs=1e-6)
    assert json.loads((folder / "ensemble.json").read_text()) == found


def test_models_folds_and_scalings_may_be_mixed(sweep):
    differing = ("scale=minmax", "activation=tanh", "model=linear", "data.fold=1 data.folds=3")
    variants = [f"{args} seed={seed}" for args in differing for seed in (0, 1)]
    assert len(ensemble(sweep("data=diabetes", variants=variants))["jobs"]) == 8


def test_a_wrong_prediction_with_probability_one_has_a_finite_loss():
    model = Linear([1], 1, task="binary")
    found = scores(model, torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[1.0], [0.0]]))
    assert found["test/loss"] == pytest.approx(-np.log(1e-15), rel=0.01)


@pytest.mark.parametrize("other", ["data.split_seed=1", "data.path=src/kindling/lectures/data/linear9.csv"])
def test_jobs_on_different_data_are_rejected(sweep, other):
    folder = sweep("data=diabetes")
    (_, second) = sorted(folder.glob("*/.hydra/config.yaml"))
    cfg = OmegaConf.load(second)
    key, value = other.split("=")
    OmegaConf.update(cfg, key, int(value) if value.isdigit() else value)
    OmegaConf.save(cfg, second)
    with pytest.raises(UserError, match="have different data: an ensemble needs jobs on the same data"):
        ensemble(folder)


def test_fewer_than_two_members_or_no_test_samples_are_rejected(sweep, tmp_path):
    folder = sweep("data=blobs", "data.num_test=0", "data.test_share=0")
    with pytest.raises(UserError, match=r"has no test samples: set data\.test_share"):
        ensemble(folder)
    (first, _) = sorted(folder.glob("*/result.json"))
    first.write_text(first.read_text().replace('"finished"', '"failed"'))
    with pytest.raises(UserError, match="has 1 finished job: an ensemble needs at least two"):
        ensemble(folder)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="is not a folder: give the folder of a sweep"):
        ensemble(folder)


@pytest.mark.slow
def test_the_command_line_prints_the_table(sweep, tmp_path):
    folder = sweep("data=diabetes")
    command = [sys.executable, "-m", "kindling", "ensemble", "sweep"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert table(json.loads((folder / "ensemble.json").read_text())) in done.stdout
    rejected = subprocess.run([*command[:-1], "nowhere"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (rejected.returncode, "nowhere is not a folder" in rejected.stderr) == (2, True)
