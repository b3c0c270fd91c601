"""The commands that a run prints include the user's config folder (hydra.searchpath=... or --config-dir)."""

import json
import shlex

import pytest
from conftest import PLAIN

SHORT = ["data=blobs", "epochs=1", *PLAIN]


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "my conf"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text("_target_: kindling.models.linear.Linear\noptimizer: ${optimizer}\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("form", ["hydra.searchpath=['file://{}']", "--config-dir={}"])
def test_the_printed_command_of_a_run_works_unchanged(shell, tmp_path, own, form):
    args = [form.format(own), *SHORT, "model=mine"]
    first = shell("train.py", *args, "hydra.run.dir=first", check=True)
    command = json.loads((tmp_path / "first" / "result.json").read_text())["command"]
    assert f"again    {command}" in first.stdout
    shell(*shlex.split(command)[1:], "hydra.run.dir=second", check=True)
    scores = [json.loads((tmp_path / name / "result.json").read_text())["score"] for name in ("first", "second")]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_the_printed_command_of_a_resumed_run_works_too(shell, tmp_path, own):
    shell("train.py", f"hydra.searchpath=['file://{own}']", *SHORT, "model=mine", "hydra.run.dir=run", check=True)
    shell("train.py", "resume=run", "epochs=2", check=True)
    command = json.loads((tmp_path / "run" / "result.json").read_text())["command"]
    shell(*shlex.split(command)[1:], "hydra.run.dir=again", check=True)
    assert json.loads((tmp_path / "again" / "result.json").read_text())["epochs"] == 2
