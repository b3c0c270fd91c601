"""`python -m kindling evaluate` reproduces the test metrics of a run."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from kindling import UserError
from kindling.files import write_json
from kindling.training.prediction.evaluate import evaluate


def remove_test_results(folder) -> dict:
    """Remove the test metrics from result.json and the files of the confusion matrix, and return the metrics."""
    result = json.loads((folder / "result.json").read_text())
    own = {name: value for name, value in result["metrics"].items() if name.startswith("test/")}
    result["metrics"] = {name: value for name, value in result["metrics"].items() if name not in own}
    write_json(folder / "result.json", result)
    for name in matrix_files(folder):
        (folder / name).unlink()
    return own


def matrix_files(folder) -> dict[str, bytes]:
    """Return the files of the confusion matrix, if any; equal counts give equal files."""
    return {path.name: path.read_bytes() for path in folder.glob("confusion_matrix.*")}


@pytest.mark.parametrize("overrides", [["epochs=3", "lr=0.1"], ["data=mnist_sample", "model=cnn", "epochs=1"]])
def test_evaluate_reproduces_the_test_metrics_and_the_confusion_matrix_of_a_run(finished, overrides):
    folder = finished(*overrides)
    before, matrix = json.loads((folder / "result.json").read_text()), matrix_files(folder)
    own = remove_test_results(folder)
    others = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert evaluate(folder) == own
    assert json.loads((folder / "result.json").read_text()) == before
    assert matrix_files(folder) == matrix
    others.pop(folder / "result.json")
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_run_with_another_device_and_limits_is_evaluated_completely_on_this_machine(finished):
    folder = finished("data=blobs", "epochs=1")
    own = remove_test_results(folder)
    cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
    cfg.trainer.update({"accelerator": "gpu", "devices": "auto", "strategy": "ddp", "limit_test_batches": 0})
    cfg.callbacks.pop("confusion", None)
    OmegaConf.save(cfg, folder / ".hydra" / "config.yaml")
    assert evaluate(folder) == pytest.approx(own, rel=1e-5)
    assert not matrix_files(folder)


def test_a_missing_part_is_named_in_the_message(finished, tmp_path):
    with pytest.raises(UserError, match=r"is not a run folder \(it has no \.hydra/config\.yaml\)"):
        evaluate(tmp_path)
    folder = finished("data=blobs", "data.num_test=0", "data.test_share=0", "epochs=1")
    with pytest.raises(UserError, match="has no test samples"):
        evaluate(folder)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt"):
        evaluate(folder)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "got none, expected python -m kindling evaluate run="),
        (["folder=nowhere"], "got folder=nowhere, expected"),
        (["run=nowhere"], "run=nowhere is not a run folder"),
        (["nowhere"], "run=nowhere is not a run folder"),
    ],
)
def test_the_command_exits_with_2_after_a_user_error(tmp_path, args, message):
    command = [sys.executable, "-m", "kindling", "evaluate", *args]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


@pytest.mark.slow
def test_the_command_prints_the_table(finished, tmp_path):
    folder = finished("data=blobs", "epochs=1")
    own = remove_test_results(folder)
    command = [sys.executable, "-m", "kindling", "evaluate", "run=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{own['test/accuracy']:.4f}" in done.stdout


def test_a_folder_of_another_version_is_refused_with_a_message(finished):
    folder = finished("data=blobs", "epochs=1")
    config = folder / ".hydra" / "config.yaml"
    text = config.read_text(encoding="utf-8")
    old = evaluate.__module__.partition(".")[0] + ".models.Deep"
    config.write_text(re.sub(r"\w+\.models\.mlp\.Deep", old, text), encoding="utf-8")
    with pytest.raises(UserError, match=rf"another version of this project: it uses {old}, .* Train it again"):
        evaluate(folder)
