"""Evaluation of quantile regression."""

import json

import pandas as pd
import pytest
from noisy_line import noisy_line

import kindling
from kindling.training.prediction.evaluate import evaluate
from kindling.training.prediction.evaluate_table import evaluate_table


def test_evaluate_scores_the_test_samples_again(finished, tmp_path):
    folder = finished(*noisy_line(tmp_path), "epochs=3", "model=realmlp")
    before = json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]
    assert evaluate(folder) == pytest.approx({k: v for k, v in before.items() if k.startswith("test/")})
    _, metrics = evaluate_table(folder, str(tmp_path / "noisy.csv"))
    table = pd.read_csv(tmp_path / "noisy.csv")
    preds = kindling.load(folder)(table)
    inside = table["y0"].between(preds["quantile 0.1"], preds["quantile 0.9"])
    assert metrics["test/coverage"] == pytest.approx(inside.mean(), abs=0.002)
    assert metrics["test/mae"] == pytest.approx((preds["prediction"] - table["y0"]).abs().mean(), rel=1e-4)
    assert metrics["test/error"] == pytest.approx(((preds["prediction"] - table["y0"]) ** 2).mean() ** 0.5, rel=1e-4)
