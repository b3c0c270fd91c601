"""`python -m kindling predict`: predictions for new tables, compared with the model that the run trained."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PROJECT, needs

import kindling
from kindling import UserError
from kindling.commands.predict import predict
from kindling.files import BEST
from kindling.training.checkpoint_files import load
from kindling.training.run_folder import config_of, data_and_model, winner

DIABETES = PROJECT / "data" / "diabetes.csv"


def in_memory(folder) -> np.ndarray:
    """Return the run's probabilities or values for all rows of its own table, in the file's order."""
    data, model = data_and_model(config_of(folder))
    model.load_state_dict(load(folder / BEST)["state_dict"])
    x = torch.from_numpy(pd.read_csv(data.path)[data.examples.columns].to_numpy("float64"))
    x[:, [data.examples.columns.index(name) for name in data.zero_is_missing]] += torch.where(
        x[:, [data.examples.columns.index(name) for name in data.zero_is_missing]] == 0, torch.nan, 0.0
    )
    fill, shift, factor = (
        torch.tensor(data.transform[key], dtype=torch.float64) for key in ("fill", "shift", "factor")
    )
    x = ((torch.where(x.isnan(), fill, x) - shift) * factor).float()
    with torch.no_grad():
        logits = model.eval()(x)
    task = data.examples.task
    if task == "regression":
        return (logits.double() * data.transform["target_std"][0] + data.transform["target_shift"][0]).numpy()
    return (logits.softmax(1) if task == "multiclass" else logits.sigmoid()).double().numpy()


@pytest.fixture
def three_classes(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 2)), columns=["a", "b"])
    table["kind"] = np.array(["low", "middle", "high"])[np.digitize(table.a + table.b, [-0.5, 0.5])]
    table.to_csv(tmp_path / "three.csv", index=False)
    return tmp_path / "three.csv"


def test_probabilities_of_two_classes_are_those_of_the_model(finished, tmp_path):
    folder = finished("epochs=3")
    predict(folder, str(DIABETES), str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv")
    expected = in_memory(folder)
    np.testing.assert_allclose(found["probability positive"], expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(found["probability negative"], 1 - expected[:, 0], atol=1e-6)
    assert found["prediction"].tolist() == ["positive" if p > 0.5 else "negative" for p in expected[:, 0]]


def test_classes_keep_the_spelling_of_the_file(finished, tmp_path, three_classes):
    folder = finished("data=csv", f"data.path={three_classes}", "epochs=3")
    predict(folder, str(three_classes), str(tmp_path / "out.csv"))
    found, expected = pd.read_csv(tmp_path / "out.csv"), in_memory(folder)
    names = ["high", "low", "middle"]
    np.testing.assert_allclose(found[[f"probability {name}" for name in names]], expected, atol=1e-6)
    assert found["prediction"].tolist() == [names[k] for k in expected.argmax(1)]


def test_values_of_a_regression_are_in_the_unit_of_the_target(finished, tmp_path):
    folder = finished("data=csv", f"data.path={DIABETES}", "data.target=glucose", "epochs=3")
    predict(folder, str(DIABETES), str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["prediction"]
    np.testing.assert_allclose(found["prediction"], in_memory(folder)[:, 0], rtol=1e-5)


def test_columns_are_matched_by_name_and_others_are_ignored(finished, tmp_path, caplog):
    folder, table = finished("epochs=2"), pd.read_csv(DIABETES)
    predict(folder, str(DIABETES), str(tmp_path / "whole.csv"))
    shuffled = table.drop(columns="diabetes")[table.columns[7::-1]].assign(note="x")
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False, sep=";")
    with caplog.at_level("INFO", "kindling"):
        predict(folder, str(tmp_path / "shuffled.csv"), str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert "columns that the model does not use: note" in caplog.text


def test_an_empty_cell_is_filled_as_in_training(finished, tmp_path):
    folder = finished("epochs=2")
    table = pd.read_csv(DIABETES).head(1)
    table.assign(bmi=0, age=np.nan).to_csv(tmp_path / "gap.csv", index=False)
    means = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["Table"]
    filled = table.assign(bmi=means["fill"][5], age=means["fill"][7])
    filled.to_csv(tmp_path / "filled.csv", index=False)
    for name in ("gap", "filled"):
        predict(folder, str(tmp_path / f"{name}.csv"), str(tmp_path / f"{name}-out.csv"))
    gap, full = (pd.read_csv(tmp_path / f"{name}-out.csv")["probability positive"] for name in ("gap", "filled"))
    np.testing.assert_allclose(gap, full, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table.drop(columns=["bmi", "age"]),
            "has no column bmi, age, which the model needs",
        ),
        (lambda table: table.assign(bmi=["thin", *table.bmi[1:]]), "has text in column 'bmi', line 2: 'thin'"),
        (lambda table: table.head(0), "has a header but no rows"),
    ],
)
def test_an_input_that_cannot_be_predicted_is_rejected_and_nothing_is_written(finished, tmp_path, change, message):
    folder = finished("epochs=1")
    change(pd.read_csv(DIABETES)).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(UserError, match=message):
        predict(folder, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    assert not list(tmp_path.glob("out.csv*"))


@pytest.mark.slow
def test_a_moved_run_predicts_from_standard_input_without_its_training_data(shell, tmp_path):
    table = pd.read_csv(DIABETES)
    table.to_csv(tmp_path / "mine.csv", index=False)
    shell("train.py", "data=csv", "data.path=mine.csv", "epochs=2", "hydra.run.dir=there", check=True)
    shutil.move(tmp_path / "there", tmp_path / "elsewhere")
    text = (tmp_path / "mine.csv").read_text()
    (tmp_path / "mine.csv").unlink()
    command = [sys.executable, "-m", "kindling", "predict", "run=elsewhere", "input=-", "output=-", "--json"]
    done = subprocess.run(command, cwd=tmp_path, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "prediction,probability 0,probability 1"
    assert len(lines) == 1 + len(table)
    assert json.loads(done.stderr.splitlines()[-1])["rows"] == len(table)


@pytest.mark.slow
@needs("sweeps")
def test_a_sweep_predicts_with_its_winner(shell, tmp_path):
    shell("train.py", "-m", "seed=0,1,2", "epochs=2", "sweep.name=s", check=True)
    sweep = tmp_path / "runs" / "sweeps" / "s"
    scores = {file.parent: json.loads(file.read_text())["score"] for file in sweep.glob("*/result.json")}
    assert winner(sweep) == min(scores, key=scores.get)
    for name, folder in (("sweep", sweep), ("winner", winner(sweep))):
        predict(folder, str(DIABETES), str(tmp_path / f"{name}.csv"))
    assert (tmp_path / "sweep.csv").read_text() == (tmp_path / "winner.csv").read_text()


@pytest.mark.slow
def test_wrong_arguments_end_with_exit_code_2(shell, tmp_path):
    for arguments in (["run=nowhere", "input=a.csv", "output=b.csv"], ["run=nowhere"], []):
        done = shell("src/kindling/__main__.py", "predict", *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_predictions_of_a_mixed_table_equal_those_of_the_model_in_memory(churn, mixed, tmp_path):
    predict(churn, str(mixed), str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv")
    data, model = data_and_model(config_of(churn))
    model.load_state_dict(load(churn / BEST)["state_dict"])
    assert data.examples.columns == ["age", "town", "member", "joined"]
    for stage, rows in data.indices.items():
        with torch.no_grad():
            expected = model.eval()(data.samples[stage][0]).sigmoid()[:, 0].numpy()
        np.testing.assert_allclose(found["probability no"][rows.numpy()], expected, atol=1e-6)


def test_load_predicts_dataframes_like_files(churn, mixed, tmp_path):
    predict(churn, str(mixed), str(tmp_path / "out.csv"))
    expected = pd.read_csv(tmp_path / "out.csv")
    model, table = kindling.load(churn), pd.read_csv(mixed)
    pd.testing.assert_frame_equal(model(table), expected, check_dtype=False)
    table["joined"] = pd.to_datetime(table["joined"], format="%d/%m/%Y")
    typed = table.astype({"town": "category", "member": "boolean", "age": "Float64"})
    pd.testing.assert_frame_equal(model(typed[typed.columns[::-1]]), expected, check_dtype=False)


def test_load_predicts_arrays_like_dataframes(finished):
    folder, numbers = finished("epochs=2"), pd.read_csv(DIABETES).drop(columns="diabetes")
    pd.testing.assert_frame_equal(kindling.load(folder)(numbers.to_numpy()), kindling.load(folder)(numbers))
    with pytest.raises(UserError, match=r"the array has the shape \(2, 3\), but the model needs \(N, 8\)"):
        kindling.load(folder)(np.zeros((2, 3)))


def test_unknown_categories_and_bad_cells_of_new_rows_are_named(churn, mixed, caplog):
    model, table = kindling.load(churn), pd.read_csv(mixed)
    odd = table.head(3).assign(town=["Paris", "Rome", None])
    unknown = model(odd)
    assert "has 1 cell in column 'town' with a value unseen in training, treated as missing: Paris" in (caplog.text)
    gap = model(table.head(3).assign(town=[None, "Rome", None]))
    pd.testing.assert_frame_equal(unknown, gap)
    with pytest.raises(UserError, match="has '2020-01-03' in column 'joined', row 2, not a date"):
        model(table.head(3).assign(joined=["01/01/2020", None, "2020-01-03"]))
    with pytest.raises(UserError, match="has text in column 'age', row 1: 'old'"):
        model(table.head(2).assign(age=["5", "old"]))
