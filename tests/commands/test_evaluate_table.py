"""`python -m kindling evaluate input=...` scores the rows of a file from the run folder alone."""

import json

import pandas as pd
import pytest
from conftest import PACKAGE, PROJECT

import kindling
from kindling import UserError
from kindling.training.prediction.evaluate_table import evaluate_table

DIABETES = PROJECT / "data" / "diabetes.csv"


def test_evaluate_scores_a_labelled_table_like_the_test_samples(churn, mixed, tmp_path):
    table, split = pd.read_csv(mixed), pd.read_csv(churn / "split.csv")
    test = table[(split.stage == "test").to_numpy()]
    test[test.columns[::-1]].to_csv(tmp_path / "test.csv", index=False)
    mixed.unlink()  # the run folder is enough
    place, metrics = evaluate_table(churn, str(tmp_path / "test.csv"))
    own = json.loads((churn / "result.json").read_text())["metrics"]
    assert metrics == pytest.approx({name: value for name, value in own.items() if name.startswith("test/")}, rel=1e-5)
    assert json.loads((place / "metrics.json").read_text())["metrics"] == metrics
    if (PACKAGE / "callbacks" / "confusion_matrix.py").exists():
        assert (place / "confusion_matrix.csv").read_text() == (churn / "confusion_matrix.csv").read_text()
    if (PACKAGE / "callbacks" / "pictures.py").exists():
        assert (place / "curves_test.png").stat().st_size > 5_000
    with pytest.raises(UserError, match="exists already: choose another folder"):
        evaluate_table(churn, str(tmp_path / "test.csv"))
    test.drop(columns="churn").to_csv(tmp_path / "unlabelled.csv", index=False)
    with pytest.raises(UserError, match="lacks the target churn"):
        evaluate_table(churn, str(tmp_path / "unlabelled.csv"))
    test.assign(churn="maybe").to_csv(tmp_path / "unknown.csv", index=False)
    with pytest.raises(UserError, match="has 'maybe' in the target 'churn', line 2: the training"):
        evaluate_table(churn, str(tmp_path / "unknown.csv"))


def test_evaluate_accepts_the_names_given_to_the_classes(finished, tmp_path):
    folder = finished("epochs=2")
    table = pd.read_csv(DIABETES)
    table.to_csv(tmp_path / "raw.csv", index=False)
    table.assign(diabetes=table.diabetes.map({0: "negative", 1: "positive"})).to_csv(
        tmp_path / "named.csv", index=False
    )
    found = [evaluate_table(folder, str(tmp_path / name))[1] for name in ("raw.csv", "named.csv")]
    assert found[0] == found[1]


def test_evaluate_of_a_regression_is_in_the_unit_of_the_target(finished, tmp_path):
    folder = finished("data=csv", f"data.path={DIABETES}", "data.target=glucose", "epochs=3")
    _, metrics = evaluate_table(folder, str(DIABETES))
    errors = kindling.load(folder)(pd.read_csv(DIABETES)).prediction - pd.read_csv(DIABETES).glucose
    assert metrics["test/mae"] == pytest.approx(errors.abs().mean(), rel=1e-4)
