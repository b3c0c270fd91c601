"""Quantile regression, compared with NumPy and with scikit-learn's linear quantile regression."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FLOAT, needs, weights_of
from noisy_line import noisy_line
from scipy.optimize import minimize
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, r2_score

import kindling
from kindling import UserError
from kindling.cli.validation import check
from kindling.tasks.losses import pinball
from kindling.tasks.quantiles import Quantiles, task_of
from kindling.training.run_folder import config_of, data_and_model

LEVELS = [0.1, 0.5, 0.9]


def test_the_pinball_loss_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, values = rng.normal(size=(50, 2)), rng.normal(size=(50, 6))
    wanted = [mean_pinball_loss(y, values[:, 2 * i : 2 * i + 2], alpha=q) for i, q in enumerate(LEVELS)]
    assert pinball(*map(torch.from_numpy, (values, y)), LEVELS).item() == pytest.approx(np.mean(wanted))


def test_the_best_constants_are_numpys_quantiles():
    y = np.random.default_rng(0).exponential(size=(101, 1))
    task = Quantiles(LEVELS)
    wanted = np.quantile(y, task.quantiles, method="inverted_cdf")
    np.testing.assert_allclose(task.constant_logits(torch.from_numpy(y)), wanted)

    def cost(constants):
        return task.loss()(torch.from_numpy(np.tile(constants, (101, 1))), torch.from_numpy(y)).item()

    best = minimize(cost, np.ones(3), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-12, "maxiter": 5000})
    np.testing.assert_allclose(best.x, wanted, atol=1e-3)


def test_weights_of_samples_count_like_repetitions():
    y, weights = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([1.0, 3.0, 2.0])
    task, repeated = Quantiles([0.1, 0.3, 0.5, 0.8]), y.repeat_interleave(weights.long(), 0)
    torch.testing.assert_close(task.constant_logits(y, weights / 2), task.constant_logits(repeated))


def test_metrics_are_those_of_the_median_and_the_coverage():
    rng = np.random.default_rng(0)
    y, median = rng.normal(size=(80, 2)), rng.normal(size=(80, 2))
    low, high = median - 1, median + 0.5
    values = torch.from_numpy(np.hstack([median, high, low]))  # the outer quantiles cross
    found = Quantiles(LEVELS).metrics(values, torch.from_numpy(y))
    assert found["mae"].item() == pytest.approx(mean_absolute_error(y, median))
    assert found["r2"].item() == pytest.approx(r2_score(y, median))
    assert found["coverage"].item() == pytest.approx(((low <= y) & (y <= high)).mean())


def test_a_group_of_models_gets_the_metrics_of_each():
    task, logits, y = Quantiles(LEVELS), torch.randn(3, 20, 6), torch.randn(3, 20, 2)
    together = task.metrics(logits, y)
    for i in range(3):
        for name, value in task.metrics(logits[i], y[i]).items():
            torch.testing.assert_close(together[name][i], value)


@pytest.mark.slow
@needs("callbacks/lr_schedule.py")
def test_a_linear_model_equals_scikit_learns_quantile_regression(finished, tmp_path):
    args = [*noisy_line(tmp_path), "model=linear", "optimizer=adam", "lr=0.02", "epochs=300", "batch_size=full"]
    folder = finished(*args, "data.passes=10", "schedule=cosine", "monitor=train/loss", "data.val_share=0")
    data, _ = data_and_model(config_of(folder))
    x, y = (part[data.indices["train"]].double().numpy() for part in (data.examples.x, data.examples.y))
    table = kindling.load(folder)(x)
    assert list(table) == ["prediction", "quantile 0.1", "quantile 0.9"]
    for name, q in zip(table, [0.5, 0.1, 0.9], strict=True):
        wanted = QuantileRegressor(quantile=q, alpha=0).fit(x, y.ravel()).predict(x)
        assert mean_pinball_loss(y, table[name], alpha=q) == pytest.approx(
            mean_pinball_loss(y, wanted, alpha=q), rel=2e-3
        )
        np.testing.assert_allclose(table[name], wanted, atol=0.15)


def test_the_coverage_of_a_network_is_near_the_wanted_one(run, tmp_path):
    metrics = run(*noisy_line(tmp_path, n=4000), "epochs=20", "data.test_share=0.4")["metrics"]
    assert metrics["test/coverage"] == pytest.approx(0.8, abs=0.04)
    assert metrics["test/r2"] > 0.5


def test_predictions_are_in_the_unit_of_several_targets_and_do_not_cross(finished, tmp_path):
    folder = finished(*noisy_line(tmp_path, targets=2), "epochs=30")
    predictor = kindling.load(folder)
    rows = pd.DataFrame({"x": np.linspace(-30, 30, 200), "z": 0.0})  # far outside, where untrained quantiles cross
    table = predictor(rows)
    targets = ["quantile 0.1 y0", "quantile 0.1 y1", "quantile 0.9 y0", "quantile 0.9 y1"]
    assert list(table) == ["prediction y0", "prediction y1", *targets]
    for name in ("y0", "y1"):
        assert (table[f"quantile 0.1 {name}"] <= table[f"prediction {name}"]).all()
        assert (table[f"prediction {name}"] <= table[f"quantile 0.9 {name}"]).all()
    inside = predictor(pd.DataFrame({"x": [1.0], "z": [0.0]})).iloc[0]
    assert inside["prediction y0"] == pytest.approx(15, abs=2)
    assert inside["prediction y1"] == pytest.approx(25, abs=2)


@needs("commands/export.py")
def test_an_exported_model_predicts_the_quantiles(finished, tmp_path):
    from kindling.commands.export import export

    folder = finished(*noisy_line(tmp_path), "epochs=2")
    assert export(folder, tmp_path / "model.pt2")["difference"] <= 1e-5


@pytest.mark.parametrize(
    ("quantiles", "task", "message"),
    [
        ([0.5], "binary", "needs a regression, and the task of this data is binary"),
        ([0.1, 0.9], "regression", "contains 0.5"),
        ([0.9, 0.5], "regression", "increasing list"),
        ([0.5, 1.0], "regression", "between 0 and 1"),
    ],
)
def test_invalid_quantiles_are_refused(quantiles, task, message):
    with pytest.raises(UserError, match=message):
        task_of(task, quantiles)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "quantile"}, "loss=quantile needs the quantiles"),
        ({"loss": "mse", "quantiles": [0.5]}, "needs loss=quantile: add it"),
    ],
)
def test_quantiles_and_their_loss_need_each_other(options, message):
    with pytest.raises(UserError, match=message):
        check(options)


@pytest.mark.slow
@needs("sweeps/grouped")
def test_jobs_train_in_groups_with_the_results_of_single_runs(run, tmp_path):
    from sweeps.sweep_helpers import trained_together

    args = [*noisy_line(tmp_path), "epochs=3", "width=8"]
    jobs = trained_together(tmp_path / "sweep", [[*args, f"seed={seed}"] for seed in (0, 1)])
    for seed, job in enumerate(jobs):
        metrics = run(*args, f"seed={seed}", "test=false", folder=f"single{seed}")["metrics"]
        found = json.loads((job.folder / "result.json").read_text(encoding="utf-8"))["metrics"]
        assert metrics == pytest.approx(found, rel=1e-5)
        for name, tensor in weights_of(tmp_path / f"single{seed}").items():
            torch.testing.assert_close(weights_of(job.folder)[name], tensor, atol=FLOAT, rtol=0)
