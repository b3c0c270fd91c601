"""Predictions with the ensemble of a sweep, compared with the weighted mean of the members' own."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands.ensemble_helpers import trainer
from conftest import PROJECT, needs
from noisy_line import noisy_line

from kindling import UserError
from kindling.commands.ensemble import ensemble

pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped")
pytestmark = needs("commands/predict.py")
INPUT = str(PROJECT / "data/diabetes.csv")


@pytest.fixture
def sweep(tmp_path):
    return trainer(tmp_path / "sweep")


@pytest.fixture
def predict():
    return pytest.importorskip("kindling.commands.predict").predict


def weighted_mean(predict, folder, tmp_path, path):
    """Return the weighted mean of the numbers that the members predict."""
    total = 0.0
    for job, weight in json.loads((folder / "ensemble.json").read_text())["weights"].items():
        predict(folder / job, path, str(tmp_path / "one.csv"))
        total = total + weight * pd.read_csv(tmp_path / "one.csv").select_dtypes("number").to_numpy()
    return total


@pytest.mark.parametrize(
    ("variants", "members"),
    [
        (("seed=0", "seed=1 scale=minmax lr=0.01", "seed=2", "seed=3 scale=minmax"), 4),
        ([f"data.folds=2 data.fold={fold} seed={seed}" for seed in (0, 1) for fold in (0, 1)], 2),
    ],
    ids=["scalings", "folds"],
)
def test_the_probabilities_are_averaged_with_the_weights(sweep, predict, tmp_path, variants, members):
    folder = sweep("data=diabetes", variants=variants)
    ensemble(folder)
    summary = predict(folder, INPUT, str(tmp_path / "all.csv"), ensemble=True)
    found = pd.read_csv(tmp_path / "all.csv")
    mean = weighted_mean(predict, folder, tmp_path, INPUT)
    assert summary["rows"] == len(found) == 768
    np.testing.assert_allclose(found.select_dtypes("number"), mean, atol=1e-12)
    assert (found["prediction"] == np.where(mean[:, 1] > mean[:, 0], "positive", "negative")).all()


def test_values_of_a_regression_are_averaged(sweep, predict, tmp_path):
    table = pd.read_csv(PROJECT / "data/diabetes.csv")[["glucose", "bmi", "age"]]
    path = str(tmp_path / "table.csv")
    table.to_csv(path, index=False)
    folder = sweep("data=csv", f"data.path={path}", "data.target=glucose", "data.task=regression")
    ensemble(folder)
    predict(folder, path, str(tmp_path / "all.csv"), ensemble=True)
    found = pd.read_csv(tmp_path / "all.csv")
    assert list(found) == ["prediction"]
    np.testing.assert_allclose(found, weighted_mean(predict, folder, tmp_path, path), rtol=1e-12)


def test_quantiles_are_averaged_with_the_weights(sweep, predict, tmp_path):
    folder = sweep(*noisy_line(tmp_path))
    ensemble(folder)
    path = str(tmp_path / "noisy.csv")
    predict(folder, path, str(tmp_path / "all.csv"), ensemble=True)
    found = pd.read_csv(tmp_path / "all.csv")
    assert list(found) == ["prediction", "quantile 0.1", "quantile 0.9"]
    np.testing.assert_allclose(found, weighted_mean(predict, folder, tmp_path, path), rtol=1e-9)


def test_the_ensemble_is_made_if_it_is_missing(sweep, predict, tmp_path):
    folder = sweep("data=diabetes")
    (folder / "jobs.json").touch()
    predict(folder, INPUT, str(tmp_path / "all.csv"), ensemble=True)
    weights = json.loads((folder / "ensemble.json").read_text())["weights"]
    assert sum(weights.values()) == pytest.approx(1)


def test_what_has_no_ensemble_is_rejected(sweep, predict, tmp_path):
    folder = sweep("data=diabetes")
    job = next(folder.glob("*/result.json")).parent
    with pytest.raises(UserError, match="is not the folder of a sweep, so it has no ensemble: leave out ensemble=true"):
        predict(job, INPUT, str(tmp_path / "all.csv"), ensemble=True)
    with pytest.raises(UserError, match="ensemble=true predicts tables only"):
        predict(folder, "digit.png", str(tmp_path / "all.csv"), ensemble=True)
    (folder / "ensemble.json").write_text("{")
    with pytest.raises(UserError, match=r"ensemble\.json cannot be read .* again:  python -m kindling ensemble"):
        predict(folder, INPUT, str(tmp_path / "all.csv"), ensemble=True)


def kindling(folder, *args):
    command = [sys.executable, "-m", "kindling", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_command_line_uses_it(shell, tmp_path):
    table, out = ["data=diabetes", "model=linear,deep", "seed=0,1", "epochs=3", "sweep.name=s"], tmp_path / "all.csv"
    done = shell("train.py", "-m", *table, check=True)
    assert "of 4 jobs" in done.stdout
    assert "ensemble on the test samples: loss 0." in done.stdout
    folder = tmp_path / "runs/sweeps/s"
    args = ["predict", f"run={folder}", f"input={INPUT}", f"output={out}"]
    assert f"wrote 768 predictions of the ensemble of {folder}" in kindling(tmp_path, *args, "ensemble=true").stdout
    assert len(pd.read_csv(out)) == 768
    job = next(folder.glob("*/result.json")).parent
    for wrong in ([*args, "ensemble=yes"], ["predict", f"run={job}", *args[2:], "ensemble=true"]):
        rejected = kindling(tmp_path, *wrong)
        assert (rejected.returncode, "Traceback" in rejected.stderr, "ensemble" in rejected.stderr) == (2, False, True)
