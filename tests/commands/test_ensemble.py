"""Ensembles of a sweep's jobs, compared with scikit-learn's metrics of probabilities averaged in numpy."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from commands.ensemble_helpers import greedy, sigmoid, softmax, trainer
from conftest import weights_of
from omegaconf import OmegaConf
from sklearn import metrics as sk

from kindling import UserError
from kindling.cli.build import build
from kindling.commands.ensemble import ensemble, table
from kindling.models.linear import Linear
from kindling.sweeps.leaderboard.ensemble.samples import Samples

pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped")
LAYERS = ("0.weight", "0.bias", "2.weight", "2.bias")


@pytest.fixture
def sweep(tmp_path):
    return trainer(tmp_path / "sweep")


def by_hand(folder):
    """Return the ensemble, its data, and for each stage the members' logits computed in numpy, and the targets."""
    members = {"val": [], "test": []}
    for job in (found := ensemble(folder))["jobs"]:
        cfg, weights = OmegaConf.load(folder / job / ".hydra" / "config.yaml"), weights_of(folder / job, "best")
        data = build(cfg.data)
        data.setup()
        w1, b1, w2, b2 = (weights[f"net.{name}"].double().numpy() for name in LAYERS)
        for stage, logits in members.items():
            logits.append(np.maximum(0, data.samples[stage][0].double().numpy() @ w1.T + b1) @ w2.T + b2)
    return found, data, {stage: (np.stack(z), data.samples[stage][1].numpy()) for stage, z in members.items()}


FOUR = ("seed=0", "seed=1 lr=0.02", "seed=2 lr=0.1", "seed=3 lr=0.01")


@pytest.mark.parametrize(
    ("args", "link", "loss"),
    [
        (["data=diabetes"], sigmoid, lambda y, p: sk.log_loss(y.ravel(), p[:, 0])),
        (["data=blobs", "data.centres=3", "data.num_test=200"], softmax, sk.log_loss),
        (["data=dates"], lambda z: z, sk.mean_squared_error),
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_the_weights_and_the_loss_equal_those_of_a_plain_loop(sweep, args, link, loss):
    found, _, stages = by_hand(sweep(*args, variants=FOUR))
    (z_val, y_val), (z, y) = stages["val"], stages["test"]
    weights = greedy(link(z_val), lambda p: loss(y_val, p))
    assert [found["weights"].get(job, 0) for job in found["jobs"]] == pytest.approx(weights)
    mean, uniform = (np.tensordot(shares, link(z_val), 1) for shares in (weights, np.full(4, 1 / 4)))
    assert found["validation"]["metrics"]["val/loss"] == pytest.approx(loss(y_val, mean), rel=1e-5)
    assert found["validation"]["uniform"]["val/loss"] == pytest.approx(loss(y_val, uniform), rel=1e-5)
    best = min(loss(y_val, own) for own in link(z_val))
    assert found["validation"]["best"]["val/loss"] == pytest.approx(best, rel=1e-5)
    assert found["validation"]["metrics"]["val/loss"] <= found["validation"]["best"]["val/loss"]
    assert found["metrics"]["test/loss"] == pytest.approx(loss(y, np.tensordot(weights, link(z), 1)), rel=1e-5)


def test_the_monitored_metric_selects(sweep):
    found, _, stages = by_hand(sweep("data=diabetes", "monitor=val/accuracy", variants=FOUR))
    z, y = stages["val"]
    weights = greedy(sigmoid(z), lambda p: -sk.accuracy_score(y, p > 0.5))
    assert (found["validation"]["metric"], found["validation"]["mode"]) == ("val/accuracy", "max")
    assert [found["weights"].get(job, 0) for job in found["jobs"]] == pytest.approx(weights)


def test_the_mean_of_all_binary_probabilities_is_scored(sweep):
    found, _, stages = by_hand(sweep("data=diabetes"))
    logits, y = stages["test"]
    each = sigmoid(logits)
    p = each.mean(0)
    assert found["uniform"]["test/loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-6)
    assert found["uniform"]["test/accuracy"] == pytest.approx(sk.accuracy_score(y, p > 0.5))
    assert found["uniform"]["test/auroc"] == pytest.approx(sk.roc_auc_score(y, p))
    assert found["members"]["test/loss"] == pytest.approx([sk.log_loss(y, own) for own in each], abs=1e-6)


def test_the_mean_of_all_softmax_probabilities_is_scored(sweep):
    found, _, stages = by_hand(sweep("data=blobs", "data.centres=3", "data.num_test=200"))
    logits, y = stages["test"]
    p = softmax(logits).mean(0)
    assert found["uniform"]["test/loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-6)
    assert found["uniform"]["test/accuracy"] == pytest.approx(sk.accuracy_score(y, p.argmax(1)))
    assert found["uniform"]["test/f1"] == pytest.approx(sk.f1_score(y, p.argmax(1), average="macro"))


def test_regression_values_are_averaged_in_the_units_of_the_target(sweep):
    found, data, stages = by_hand(sweep("data=dates"))
    values, y = stages["test"]
    unit = data.transform["target_std"][0]
    assert found["uniform"]["test/mae"] == pytest.approx(unit * sk.mean_absolute_error(y, values.mean(0)), rel=1e-5)
    assert found["uniform"]["test/r2"] == pytest.approx(sk.r2_score(y, values.mean(0)), abs=1e-6)
    # The squared error of a mean is under the mean of the squared errors (Krogh and Vedelsby 1995).
    assert found["uniform"]["test/mse"] < np.mean(found["members"]["test/mse"])


def test_the_metrics_of_a_member_equal_those_of_its_own_test(sweep):
    from kindling.training.prediction.evaluate import evaluate

    folder = sweep("data=diabetes")
    found = ensemble(folder)
    for i, job in enumerate(found["jobs"]):
        own = {name: values[i] for name, values in found["members"].items()}
        assert own == pytest.approx(evaluate(folder / job), abs=1e-6)
    assert json.loads((folder / "ensemble.json").read_text()) == found


def test_models_and_scalings_may_be_mixed(sweep):
    variants = [
        f"{args} seed={seed}" for args in ("scale=minmax", "activation=tanh", "model=linear") for seed in (0, 1)
    ]
    assert len(ensemble(sweep("data=diabetes", variants=variants))["jobs"]) == 6


def test_a_wrong_prediction_with_probability_one_has_a_finite_loss():
    model = Linear([1], 1, task="binary")
    samples = Samples(model, torch.tensor([[1.0], [0.0]]))
    assert samples.metrics(torch.tensor([[0.0], [1.0]]).double())["loss"] == pytest.approx(-np.log(1e-15), rel=0.01)


@pytest.mark.parametrize(
    "other", ["data.split_seed=1", "data.val_share=0.2", "data.path=src/kindling/lectures/data/linear9.csv"]
)
def test_jobs_on_different_data_are_rejected(sweep, other):
    folder = sweep("data=diabetes")
    (_, second) = sorted(folder.glob("*/.hydra/config.yaml"))
    cfg = OmegaConf.load(second)
    key, value = other.split("=")
    OmegaConf.update(cfg, key, yaml.safe_load(value))
    OmegaConf.save(cfg, second)
    with pytest.raises(UserError, match="have different data: an ensemble needs jobs on the same data"):
        ensemble(folder)


def test_fewer_than_two_members_or_no_samples_are_rejected(sweep, tmp_path):
    folder = sweep("data=blobs", "data.num_test=0", "data.test_share=0", "data.val_share=0")
    with pytest.raises(UserError, match=r"has neither validation nor test samples: set data\.val_share or data\.test"):
        ensemble(folder)
    (first, _) = sorted(folder.glob("*/result.json"))
    first.write_text(first.read_text().replace('"finished"', '"failed"'))
    with pytest.raises(UserError, match="has 1 finished job: an ensemble needs at least two"):
        ensemble(folder)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="is not a folder: give the folder of a sweep"):
        ensemble(folder)


def test_without_validation_samples_all_jobs_have_the_same_weight(sweep):
    found = ensemble(sweep("data=blobs", "data.val_share=0"))
    assert list(found["weights"].values()) == [0.5, 0.5]
    assert found["metrics"] == found["uniform"]
    assert found["validation"] == {}
    assert "with equal weights: there are no validation samples" in table(found)


def test_without_test_samples_the_ensemble_is_selected_all_the_same(sweep):
    found = ensemble(sweep("data=blobs", "data.num_test=0", "data.test_share=0"))
    assert (found["rows"], found["metrics"], found["members"]) == (0, {}, {})
    assert sum(found["weights"].values()) == pytest.approx(1)
    assert "test samples" not in table(found)


@pytest.mark.slow
def test_the_command_line_prints_the_table(sweep, tmp_path):
    folder = sweep("data=diabetes")
    command = [sys.executable, "-m", "kindling", "ensemble", "sweep"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert table(json.loads((folder / "ensemble.json").read_text())) in done.stdout
    rejected = subprocess.run([*command[:-1], "nowhere"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (rejected.returncode, "nowhere is not a folder" in rejected.stderr) == (2, True)


def test_a_job_without_a_result_is_left_out_and_named(sweep, caplog):
    folder = sweep("data=diabetes", variants=FOUR)
    results = sorted(folder.glob("*/result.json"))
    lost = results[1]
    lost.unlink()
    assert len(ensemble(folder)["jobs"]) == len(results) - 1
    assert f"left out: {lost.parent.name}, unfinished, there is no result.json" in caplog.text


def test_another_metric_can_select(sweep):
    folder = sweep("data=diabetes")
    found, by_loss = ensemble(folder, metric="val/accuracy"), ensemble(folder)
    assert (found["validation"]["metric"], found["validation"]["mode"]) == ("val/accuracy", "max")
    own, other = (result["validation"]["metrics"]["val/accuracy"] for result in (found, by_loss))
    assert own >= max(other, found["validation"]["best"]["val/accuracy"])


def test_an_unknown_metric_is_rejected_with_the_choices(sweep):
    with pytest.raises(UserError, match=r"metric=val/f2 is no metric .* choose val/loss, val/accuracy"):
        ensemble(sweep("data=diabetes"), metric="val/f2")
