"""A run that was stopped, at whatever moment, goes on as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import PLAIN, PROJECT, rows_of

from kindling import UserError
from kindling.cli import resume

# 225 steps an epoch, 3 per execution, with dropout: a stop falls into an epoch, and random numbers must go on.
RUN = ["data=blobs", "batch_size=4", "epochs=12", "steps_per_execution=3", "dropout=0.1", "trainer=cpu"]
NOT_COMPARED = {"seconds", "command", "git"}


def result_of(folder):
    return {
        k: v
        for k, v in json.loads((folder / "result.json").read_text(encoding="utf-8")).items()
        if k not in NOT_COMPARED
    }


def same_checkpoint(one, other, name):
    states = [torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"] for folder in (one, other)]
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run's folder, without any stop."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, str(PROJECT / "train.py"), *RUN, f"hydra.run.dir={folder / 'run'}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "run"


def stopped(folder, number, *words, run=RUN):
    """Start the run, and send it a signal when its third epoch is recorded."""
    command = [sys.executable, str(PROJECT / "train.py"), *run, *words, f"hydra.run.dir={folder}"]
    with subprocess.Popen(
        command, cwd=folder.parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as process:
        metrics, deadline = folder / "metrics.csv", time.monotonic() + 60
        while (
            process.poll() is None
            and time.monotonic() < deadline
            and not (metrics.exists() and len(metrics.read_text(encoding="utf-8").splitlines()) > 3)
        ):
            time.sleep(0.005)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a child")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, shell, undisturbed, name):
    number = getattr(signal, name)
    folder, killed = tmp_path / "runs" / "blobs-deep" / "stopped", name == "SIGKILL"
    folder.parent.mkdir(parents=True)
    code, output = stopped(folder, number, *(["+callbacks.checkpoints.every_seconds=0"] if killed else []))
    if not killed:
        assert code == 130, output
        assert result_of(folder)["status"] == "interrupted"
        assert "resume=runs/blobs-deep/stopped" in output
    done = len(rows_of(folder))
    assert 3 <= done < 12

    again = shell("train.py", "resume=last")
    assert again.returncode == 0, again.stderr
    assert rows_of(folder) == rows_of(undisturbed)
    assert result_of(folder) == result_of(undisturbed)
    assert same_checkpoint(folder, undisturbed, "last.ckpt")
    assert same_checkpoint(folder, undisturbed, "best.ckpt")
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a child")
def test_a_run_whose_epoch_is_one_execution_stops_at_its_end_and_resumes_bit_for_bit(tmp_path, shell):
    words = ["steps_per_execution=auto", "epochs=60"]
    whole, folder = tmp_path / "whole", tmp_path / "runs" / "blobs-deep" / "stopped"
    shell("train.py", *RUN, *words, f"hydra.run.dir={whole}", check=True)
    folder.parent.mkdir(parents=True)
    assert stopped(folder, signal.SIGINT, *words)[0] == 130
    assert 3 <= len(rows_of(folder)) < 60
    shell("train.py", "resume=last", check=True)
    assert rows_of(folder) == rows_of(whole)
    assert same_checkpoint(folder, whole, "last.ckpt")
    assert same_checkpoint(folder, whole, "best.ckpt")


@pytest.mark.slow
def test_a_finished_run_goes_on_with_more_epochs_as_if_they_had_been_asked_for(shell, tmp_path, undisturbed):
    short = tmp_path / "short"
    shell("train.py", *RUN, "epochs=5", f"hydra.run.dir={short}", check=True)
    shell("train.py", f"resume={short}", "epochs=12", check=True)
    assert rows_of(short) == rows_of(undisturbed)
    command = json.loads((short / "result.json").read_text(encoding="utf-8"))["command"]
    assert command == f"python train.py {' '.join(word for word in RUN if 'epochs' not in word)} epochs=12"
    assert same_checkpoint(short, undisturbed, "best.ckpt")
    events = [path for path in short.iterdir() if path.name.startswith("events")]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = [event.step for event in EventAccumulator(str(short)).Reload().Scalars("val/loss")]
    assert len(events) == 2
    assert steps == list(range(1, 13))


@pytest.mark.slow
def test_a_run_in_float64_goes_on_with_all_its_digits(shell, tmp_path):
    words, whole, folder = [*RUN, "precision=64-true"], tmp_path / "whole", tmp_path / "short"
    shell("train.py", *words, "epochs=4", f"hydra.run.dir={whole}", check=True)
    shell("train.py", *words, "epochs=2", f"hydra.run.dir={folder}", check=True)
    shell("train.py", f"resume={folder}", "epochs=4", check=True)
    assert rows_of(folder) == rows_of(whole)
    assert same_checkpoint(folder, whole, "last.ckpt")


@pytest.mark.slow
def test_what_would_change_a_begun_run_is_refused(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}", check=True)
    before = (folder / "result.json").read_text(encoding="utf-8")
    refused = shell("train.py", f"resume={folder}", "optimizer=sgd")
    assert refused.returncode == 2
    assert "optimizer=sgd cannot change in a resumed run" in refused.stderr
    assert (folder / "result.json").read_text(encoding="utf-8") == before


def test_resume_without_a_run_says_so(shell):
    for word, message in (("resume=last", "finds no run"), ("resume=nowhere", "is no run folder")):
        refused = shell("train.py", word)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_a_folder_never_takes_a_second_run(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}", check=True)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    refused = shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}")
    assert refused.returncode == 2
    assert "has a run already" in refused.stderr
    assert {path: path.read_bytes() for path in folder.glob("*.json")} == before


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="trainer=gpu can be resumed with here")
def test_what_cannot_be_gone_on_with_stays_as_it_was(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=3", f"hydra.run.dir={folder}", check=True)

    def files():
        paths = [folder / "result.json", folder / "metrics.csv", *sorted((folder / ".hydra").iterdir())]
        return {path.name: path.read_bytes() for path in paths}

    before = files()
    for words, message in [
        ([f"resume={folder}", "trainer=gpu"], "trainer=gpu: there is none here"),
        ([f"resume={folder}", "epochs=2"], "has 3 epochs already, epochs=2 is fewer"),
        (["data=ring", "epochs=1", f"hydra.run.dir={folder}"], "has a run already"),
        (["-m", f"resume={folder}", "epochs=4,5"], "is no sweep folder"),
    ]:
        refused = shell("train.py", *words)
        assert (refused.returncode, message in refused.stdout + refused.stderr) == (2, True), refused.stderr
        assert files() == before


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """runs(name=(status, has a checkpoint), ...) makes their folders, the first one oldest."""
    monkeypatch.chdir(tmp_path)

    def make(**states) -> None:
        for age, (name, (status, kept)) in enumerate(states.items()):
            folder = tmp_path / "runs" / "a-b" / name
            (folder / ".hydra").mkdir(parents=True)
            (folder / ".hydra" / "hydra.yaml").touch()
            (folder / "checkpoints").mkdir()
            if kept:
                (folder / "checkpoints" / "last.ckpt").touch()
            if status:
                (folder / "result.json").write_text(json.dumps({"status": status}), encoding="utf-8")
            os.utime(folder / ".hydra", (age, age))

    return make


def test_last_is_the_newest_run_that_can_be_resumed_and_the_others_are_named(runs, capsys):
    runs(old=("interrupted", True), killed=(None, True), whole=("finished", True), far=("diverged", True))
    taken, whole, far = (Path("runs/a-b") / name for name in ("killed", "whole", "far"))
    assert resume.expand(["resume=last"])[0] == f"resume='{taken}'"
    newer = f"{far} (diverged); {whole} (finished; epochs=... would continue it)"
    assert capsys.readouterr().err == f"resume=last takes {taken}, and not {newer}\n"


def test_last_is_a_finished_run_where_more_epochs_are_asked_for(runs):
    runs(killed=(None, True), whole=("finished", True), mistyped=("failed", False))
    assert resume.expand(["resume=last", "epochs=9"])[1] == f"resume='{Path('runs/a-b/whole')}'"


def test_last_of_runs_that_cannot_be_resumed_says_why(runs):
    runs(mistyped=("failed", False), far=("diverged", True))
    with pytest.raises(UserError, match=r"no run in .* that can be resumed: .*far \(diverged\); .*before its first"):
        resume.expand(["resume=last"])


@pytest.mark.slow
def test_a_run_that_works_in_its_own_folder_is_resumed_and_swept_alike(shell, tmp_path):
    there, plain = "hydra.job.chdir=true", ["data=blobs", "trainer=cpu", *PLAIN, "logger=[csv,tensorboard]"]
    first = shell("train.py", *plain, "epochs=1", there, check=True)
    (folder,) = (tmp_path / "runs").glob("blobs-deep/*")
    assert f"folder   {folder.relative_to(tmp_path)}" in first.stdout
    shell("train.py", "resume=last", "epochs=2", there, check=True)
    assert len(rows_of(folder)) == 2
    assert {"best.ckpt", "last.ckpt"} == {path.name for path in (folder / "checkpoints").iterdir()}
    shell("train.py", "-m", *plain, "epochs=1", there, "seed=0,1", "steps_per_execution=1", "sweep.name=s", check=True)
    assert (tmp_path / "runs/sweeps/s/leaderboard.csv").is_file()
    assert len(list(tmp_path.rglob("result.json"))) == 3
