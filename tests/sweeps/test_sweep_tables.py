"""A sweep over a table with text, dates and gaps: what it prints, its folds, and its winner."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import PACKAGE, PROJECT


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    found = pd.DataFrame({
        "age": rng.integers(20, 70, 160).astype(float), "town": rng.choice(["Rome", "Oslo", "Bonn"], 160),
        "joined": pd.date_range("2020-01-01", periods=160).strftime("%Y-%m-%d"), "note": "same",
    })  # fmt: skip
    found["churn"] = np.where(found.age + 20 * (found.town == "Rome") > 50, "yes", "no")
    found.loc[::7, "age"] = np.nan
    found.to_csv(tmp_path / "t.csv", index=False)
    return found


@pytest.mark.slow
def test_a_sweep_describes_its_table_once_and_its_winner_predicts(shell, table, tmp_path):
    args = ["data=csv", "data.path=t.csv", "data.target=churn", "model=linear,deep", "epochs=3", "sweep.name=s"]
    done = shell("train.py", "-m", *args, "folds=3", check=True)
    printed = done.stdout + done.stderr
    for line in ("columns of t.csv: number: age; category: town (3 values); date: joined", "column 'note' is not used"):
        assert printed.count(line) == 1, printed
    assert re.search(r"^command: .* data\.folds?=\d", printed, re.MULTILINE)
    single = re.search(r"^the same on one split, without folds: (python train\.py .*)", printed, re.MULTILINE)[1]
    assert "data.fold" not in single
    assert "data.target=churn" in single
    script = PACKAGE.relative_to(PROJECT) / "__main__.py"
    shell(str(script), "predict", "run=runs/sweeps/s", "input=t.csv", "output=out.csv", check=True)
    predicted = pd.read_csv(tmp_path / "out.csv")
    assert len(predicted) == len(table)
    assert (predicted.prediction == table.churn).mean() > 0.6
    refused = shell(str(script), "evaluate", "run=runs/sweeps/s")
    assert (refused.returncode, "is the folder of a sweep: give that of one of its jobs" in refused.stderr) == (2, True)
    scored = shell(str(script), "evaluate", "run=runs/sweeps/s", "input=t.csv", "output=scores", "--json", check=True)
    accuracy = json.loads(scored.stdout.splitlines()[-1])["test/accuracy"]
    assert accuracy == pytest.approx((predicted.prediction == table.churn).mean(), abs=1e-6)
