"""Predictions with a run from elsewhere execute nothing, and a spreadsheet gets the names as they are."""

import pandas as pd
from trust_helpers import poison, rejects, trained

from kindling.commands.predict import predict
from kindling.training.prediction.predictor import Predictor

__all__ = ["trained"]


def test_predict_does_not_execute_the_contents_of_best_ckpt(trained):
    rejects(poison(trained / "checkpoints/best.ckpt"), Predictor, trained)


def test_class_names_that_are_formulas_are_written_unchanged(finished, tmp_path):
    table = pd.DataFrame({"a": range(60), "y": ["=1+1", "@x", "+2-2"] * 20})
    table.to_csv(tmp_path / "t.csv", index=False)
    folder = finished("data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y", "epochs=1")
    predict(folder, str(tmp_path / "t.csv"), str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert set(found["prediction"]) <= set(table["y"])
    assert {f"probability {name}" for name in table["y"]} <= set(found.columns)
