"""`python -m kindling export`: a file that gives the predictions of the run without Kindling."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PROJECT

import kindling
from kindling import UserError
from kindling.commands.export import export

DIABETES = PROJECT / "data" / "diabetes.csv"


@pytest.fixture
def mixed(finished, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "age": rng.integers(20, 70, 150).astype(float), "town": rng.choice(["Rome", "Oslo", "Bonn"], 150),
        "member": rng.choice(["true", "false"], 150),
        "joined": pd.date_range("2019-12-30", periods=150).strftime("%Y-%m-%d"),
        "churn": rng.choice(["low", "middle", "high"], 150),
    })  # fmt: skip
    table.loc[::7, "age"] = np.nan
    table.to_csv(tmp_path / "mixed.csv", index=False)
    return table, finished("data=csv", f"data.path={tmp_path / 'mixed.csv'}", "data.target=churn", "epochs=3")


def raw(table: pd.DataFrame, about: dict) -> torch.Tensor:
    """Return the rows as the exported file takes them, from what it says about its columns."""
    columns = []
    for column in about["columns"]:
        cells = table[column["name"]]
        if column["kind"] == "date":
            columns.append((pd.to_datetime(cells) - pd.Timestamp(0)) / pd.Timedelta(days=1))
        elif "values" in column:
            columns.append(cells.map({value: float(i) for i, value in enumerate(column["values"])}))
        else:
            columns.append(cells)
    return torch.from_numpy(np.column_stack(columns).astype("float64"))


def test_the_pt2_file_predicts_raw_rows_like_the_run(mixed, tmp_path):
    table, folder = mixed
    found = export(folder, tmp_path / "model.pt2")
    extra = {"kindling.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    about = json.loads(extra["kindling.json"])
    assert {name: found[name] for name in about} == about
    assert about["classes"] == ["high", "low", "middle"]
    expected = kindling.load(folder)(table)[[f"probability {name}" for name in about["classes"]]]
    for rows in (150, 1):  # any number of rows
        preds = program.module()(raw(table.head(rows), about))
        np.testing.assert_allclose(preds, expected.head(rows), atol=1e-5)


@pytest.mark.slow
def test_the_pt2_file_of_a_regression_is_in_the_unit_of_the_target(finished, tmp_path):
    folder = finished("data=csv", f"data.path={DIABETES}", "data.target=glucose", "scale=robust", "epochs=2")
    export(folder, tmp_path / "model.pt2")
    table = pd.read_csv(DIABETES).drop(columns="glucose")
    preds = torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(table.to_numpy("float64")))
    np.testing.assert_allclose(preds[:, 0], kindling.load(folder)(table).prediction, rtol=1e-5)


@pytest.mark.slow
def test_the_pt2_file_of_scaled_columns_without_an_encoding(finished, tmp_path):
    folder = finished("epochs=2", "model=linear", "features=polynomial")
    assert export(folder, tmp_path / "model.pt2")["difference"] < 1e-5


def test_the_onnx_file_predicts_raw_rows_like_the_run(mixed, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    import onnxruntime

    table, folder = mixed
    about = export(folder, tmp_path / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["kindling"])["columns"] == about["columns"]
    preds = session.run(None, {"rows": raw(table, about).numpy()})[0]
    expected = kindling.load(folder)(table)[[f"probability {name}" for name in about["classes"]]]
    np.testing.assert_allclose(preds, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "form", "message"),
    [("m.tf", "tf", "format=tf is unknown: choose pt2 or onnx"), ("no/m.pt2", "pt2", "does not exist: create")],
)
def test_an_unsuitable_output_is_rejected(mixed, tmp_path, output, form, message):
    with pytest.raises(UserError, match=message):
        export(mixed[1], tmp_path / output, form)


@pytest.mark.slow
def test_a_moved_run_exports_without_its_training_data(shell, tmp_path):
    (tmp_path / "mine.csv").write_text(DIABETES.read_text())
    shell("train.py", "data=csv", "data.path=mine.csv", "epochs=2", "hydra.run.dir=there", check=True)
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    (tmp_path / "mine.csv").unlink()
    command = [sys.executable, "-m", "kindling", "export", "run=elsewhere", "output=m.pt2", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["difference"] <= 1e-5
    assert (tmp_path / "m.pt2").stat().st_size > 10_000
