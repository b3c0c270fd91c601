"""The command that a run prints as `again` gives the same numbers."""

import json
import shlex

import pytest

MCC = "{_target_: torchmetrics.MatthewsCorrCoef, task: binary}"


def metrics_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]


def again(shell, folder, tmp_path):
    """Run the command of a result.json, and return the metrics of both runs."""
    command = json.loads((folder / "result.json").read_text(encoding="utf-8"))["command"]
    program, *args = shlex.split(command.removeprefix("python "))
    shell(program, *args, f"hydra.run.dir={tmp_path / 'again'}", check=True)
    return metrics_of(folder), metrics_of(tmp_path / "again")


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        ["data=blobs", "dropout=0.2", "epochs=3"],
        ["experiment=digits", "epochs=1"],
        ["data=ring", "hidden_sizes=[6,4]", f"metrics={{mcc: {MCC}}}"],
    ],
    ids=["run", "experiment", "lists"],
)
def test_the_command_of_a_run_gives_the_same_numbers(shell, tmp_path, args):
    shell("train.py", *args, f"hydra.run.dir={tmp_path / 'first'}", check=True)
    first, second = again(shell, tmp_path / "first", tmp_path)
    assert first == second


@pytest.mark.slow
def test_the_command_of_a_job_that_trained_alone_gives_the_same_numbers(shell, tmp_path):
    pytest.importorskip("kindling.sweeps.sweep", reason="sweeps is stripped")
    shell("train.py", "-m", "data=blobs", "epochs=2", "seed=0,1", "steps_per_execution=1", "sweep.name=s", check=True)
    job = next((tmp_path / "runs/sweeps/s").glob("seed=1_*"))
    first, second = again(shell, job, tmp_path)
    assert first == {name: second[name] for name in first}


@pytest.mark.slow
def test_the_command_of_a_job_that_trained_in_a_group_gives_the_same_numbers_up_to_rounding(shell, tmp_path):
    pytest.importorskip("kindling.sweeps.grouped", reason="grouped is stripped")
    shell("train.py", "-m", "data=blobs", "epochs=2", "seed=0,1", "sweep.name=s", check=True)
    job = next((tmp_path / "runs/sweeps/s").glob("seed=1_*"))
    first, second = again(shell, job, tmp_path)
    assert first == pytest.approx({name: second[name] for name in first}, rel=1e-5)
