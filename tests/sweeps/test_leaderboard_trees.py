"""Baselines of trees, compared with scikit-learn fitted directly."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from conftest import compose_config, made
from sklearn import ensemble
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from sweeps.leaderboard_helpers import job_writer

from kindling import UserError
from kindling.sweeps.leaderboard.baselines.trees import TREES, fit_trees, tree_names
from kindling.sweeps.leaderboard.make import make_board

KINDS = {"gradient boosting": "HistGradientBoosting", "random forest": "RandomForest"}


@pytest.fixture
def job(tmp_path):
    return job_writer(tmp_path)


def oracle(name: str, kind: str):
    return getattr(ensemble, KINDS[name] + kind)(random_state=0)


def of_trees(board):
    return [row for row in board.baselines if row.name in KINDS]


@pytest.mark.parametrize("args", [["data=diabetes"], ["data=blobs", "data.centres=4", "data.balance=true"]])
def test_classifiers_equal_scikit_learns(job, tmp_path, args):
    job(*args, score=0.5, config=compose_config(*args))
    data = made(*args)
    (x, y), (x_val, y_val) = data.samples["train"], data.samples["val"]
    weights, val_weights = (data.weights[stage].numpy() if data.weights else None for stage in ("train", "val"))
    rows = of_trees(make_board(tmp_path, ["boosting", "forest"]))
    assert [row.name for row in rows] == list(TREES.values())
    for row in rows:
        fitted = oracle(row.name, "Classifier").fit(x.numpy(), y.flatten().numpy(), sample_weight=weights)
        p = fitted.predict_proba(x_val.numpy())
        assert row.mean == pytest.approx(log_loss(y_val.flatten(), p, sample_weight=val_weights), rel=1e-4)
        assert row.others["val/accuracy"] == pytest.approx(accuracy_score(y_val.flatten(), p.argmax(1)), abs=0.02)


def test_regressors_equal_scikit_learns_in_the_units_of_the_target(job, tmp_path):
    cfg = compose_config("data=dates")
    job("lr=1", score=1e-9, config=cfg, monitor="val/mse")
    data = made("data=dates")
    (x, y), (x_val, y_val) = data.samples["train"], data.samples["val"]
    unit = data.transform["target_std"][0]
    for row in of_trees(make_board(tmp_path, ["boosting", "forest"])):
        preds = oracle(row.name, "Regressor").fit(x.numpy(), y[:, 0].numpy()).predict(x_val.numpy())
        assert row.mean == pytest.approx(mean_squared_error(unit * y_val[:, 0], unit * preds), rel=1e-4)


@pytest.mark.parametrize("name", TREES)
def test_each_label_has_its_own_trees_and_a_class_without_samples_a_tiny_probability(name):
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.stack([x[:, 0] > 0, x[:, 1] > 0, torch.zeros(60, dtype=torch.bool)], 1).float()
    logits = fit_trees(name, {"task": "multilabel", "num_outputs": 3}, (x, labels), x)
    assert logits.shape == (60, 3)
    assert ((logits[:, :2] > 0).float() == labels[:, :2]).all()
    assert (logits[:, 2] < -30).all()
    classes = (x[:, 0] > 0).long() * 2
    logits = fit_trees(name, {"task": "multiclass", "num_outputs": 4}, (x, classes), x)
    assert (logits.argmax(1) == classes).all()
    assert (logits[:, [1, 3]] < -30).all()
    assert logits.isfinite().all()


def test_they_are_cached_and_shown_again(job, tmp_path, monkeypatch):
    job("lr=1", score=0.5, config=compose_config("data=blobs"))
    names = [row.name for row in make_board(tmp_path).baselines]
    both = make_board(tmp_path, ["forest"])
    assert [row.name for row in both.baselines] == [*names, "random forest"]
    monkeypatch.setattr("kindling.sweeps.leaderboard.baselines.score.build", None)
    again = make_board(tmp_path, ["forest"])
    assert [(row.name, row.mean) for row in again.baselines] == [(row.name, row.mean) for row in both.baselines]
    assert [row.name for row in make_board(tmp_path).baselines] == [*names, "random forest"]
    (entry,) = json.loads((tmp_path / "baselines.json").read_text()).values()
    assert entry["trees"] == ["forest"]


def test_images_have_none(job, tmp_path):
    job("lr=1", score=0.5, config=compose_config("data=mnist_sample"))
    board = make_board(tmp_path, ["forest"])
    assert "No logistic regression and random forest as a baseline: the inputs are images." in board.notes


def test_names_are_read_from_lists_and_texts():
    assert tree_names("[boosting,forest]", "baselines") == ["boosting", "forest"]
    assert tree_names("forest", "baselines") == tree_names(["forest"], "baselines") == ["forest"]
    assert tree_names("[]", "baselines") == tree_names(None, "baselines") == []
    with pytest.raises(UserError, match=r"^baselines=tree is unknown: choose boosting, forest"):
        tree_names("tree", "baselines")


def test_without_scikit_learn_one_sentence_names_the_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == "sklearn" else find(name, *args)
    )
    with pytest.raises(UserError, match=r'needs scikit-learn: pip install -e "\.\[baselines\]"$'):
        tree_names(["forest"], "sweep.baselines")
    assert tree_names([], "sweep.baselines") == []


def test_a_sweep_rejects_an_unknown_name_before_it_starts(shell, tmp_path):
    done = shell("train.py", "-m", "data=blobs", "seed=0,1", "sweep.baselines=[trees]")
    assert (done.returncode, "sweep.baselines=trees is unknown: choose boosting, forest" in done.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("names", ["[boosting,forest]", "boosting,forest"])
def test_a_sweep_prints_them(shell, tmp_path, names):
    args = ["data=blobs", "epochs=1", "seed=0,1", f"sweep.baselines={names}", "sweep.name=s"]
    done = shell("train.py", "-m", *args, check=True)
    assert "1-2/2  2 jobs" in done.stdout
    assert "baseline: gradient boosting" in done.stdout
    assert "baseline: random forest" in done.stdout
    text = (tmp_path / "runs/sweeps/s/leaderboard.csv").read_text(encoding="utf-8")
    assert np.sum(["baseline" in line for line in text.splitlines()]) == 4
