"""`python -m kindling evaluate`: the numbers of a run's own test, afterwards."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from kindling import UserError
from kindling.files import write_json
from kindling.training.evaluate import evaluate


def forget_the_test(folder) -> dict:
    """The run's own test metrics, which are then gone from its result.json, as its confusion matrix is."""
    result = json.loads((folder / "result.json").read_text())
    own = {name: value for name, value in result["metrics"].items() if name.startswith("test/")}
    result["metrics"] = {name: value for name, value in result["metrics"].items() if name not in own}
    write_json(folder / "result.json", result)
    for name in pictures(folder):
        (folder / name).unlink()
    return own


def pictures(folder) -> dict[str, bytes]:
    """The confusion matrix's files, if the project has them; the picture is drawn the same from the same counts."""
    return {path.name: path.read_bytes() for path in folder.glob("confusion_matrix.*")}


@pytest.mark.parametrize("words", [["epochs=3", "lr=0.1"], ["data=mnist_sample", "model=cnn", "epochs=1"]])
def test_it_gives_the_run_s_own_test_metrics_and_confusion_matrix(finished, words):
    folder = finished(*words)
    before, matrix = json.loads((folder / "result.json").read_text()), pictures(folder)
    own = forget_the_test(folder)
    others = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert evaluate(folder) == own
    assert json.loads((folder / "result.json").read_text()) == before
    assert pictures(folder) == matrix
    others.pop(folder / "result.json")
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_run_on_another_device_with_limits_is_scored_whole_where_it_is(finished):
    folder = finished("data=blobs", "epochs=1")
    own = forget_the_test(folder)
    cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
    cfg.trainer.update({"accelerator": "gpu", "devices": "auto", "strategy": "ddp", "limit_test_batches": 0})
    cfg.callbacks.pop("confusion", None)
    OmegaConf.save(cfg, folder / ".hydra" / "config.yaml")
    assert evaluate(folder) == pytest.approx(own, rel=1e-5)
    assert not pictures(folder)


def test_it_says_what_is_missing(finished, tmp_path):
    with pytest.raises(UserError, match=r"is no run folder \(it has no \.hydra/config\.yaml\)"):
        evaluate(tmp_path)
    folder = finished("data=blobs", "data.num_test=0", "data.test_share=0", "epochs=1")
    with pytest.raises(UserError, match="has no test rows to score"):
        evaluate(folder)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt"):
        evaluate(folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing was typed, wanted is: python -m kindling evaluate run="),
        (["folder=nowhere"], "folder=nowhere was typed, wanted is"),
        (["run=nowhere"], "run=nowhere is no run folder"),
        (["nowhere"], "run=nowhere is no run folder"),
    ],
)
def test_the_command_line_refuses_with_exit_code_2(tmp_path, words, message):
    command = [sys.executable, "-m", "kindling", "evaluate", *words]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


@pytest.mark.slow
def test_the_command_line_shows_the_table(finished, tmp_path):
    folder = finished("data=blobs", "epochs=1")
    own = forget_the_test(folder)
    command = [sys.executable, "-m", "kindling", "evaluate", "run=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{own['test/accuracy']:.4f}" in done.stdout


def test_a_folder_of_another_version_is_refused_with_a_sentence(finished):
    folder = finished("data=blobs", "epochs=1")
    config = folder / ".hydra" / "config.yaml"
    text = config.read_text(encoding="utf-8")
    old = evaluate.__module__.partition(".")[0] + ".models.Deep"
    config.write_text(re.sub(r"\w+\.models\.mlp\.Deep", old, text), encoding="utf-8")
    with pytest.raises(UserError, match=rf"another version of this project: it calls {old}, .* Train it again"):
        evaluate(folder)
