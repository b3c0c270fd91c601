"""A run that is stopped at any moment and resumed gives the results of an uninterrupted run."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import PLAIN, PROJECT, rows_of
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.folders import resume
from kindling.training.checkpoint_files import checkpoint_to_resume

# 225 steps per epoch, 3 per execution, with dropout: the run stops within an epoch, and random numbers must continue.
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
def uninterrupted(tmp_path_factory):
    """Return the folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    command = [sys.executable, str(PROJECT / "train.py"), *RUN, f"hydra.run.dir={folder / 'run'}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "run"


def stopped(folder, number, *overrides, run=RUN):
    """Start a run, and send it a signal once its third epoch is recorded."""
    command = [sys.executable, str(PROJECT / "train.py"), *run, *overrides, f"hydra.run.dir={folder}"]
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
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, shell, uninterrupted, name):
    number = getattr(signal, name)
    folder, killed = tmp_path / "runs" / "blobs-deep" / "stopped", name == "SIGKILL"
    folder.parent.mkdir(parents=True)
    code, output = stopped(folder, number, *(["+callbacks.checkpoints.every_seconds=0"] if killed else []))
    if not killed:
        assert code == 128 + number, output
        assert result_of(folder)["status"] == "interrupted"
        assert "resume=runs/blobs-deep/stopped" in output
    assert 3 <= len(rows_of(folder)) < 12

    again = shell("train.py", "resume=last")
    assert again.returncode == 0, again.stderr
    assert rows_of(folder) == rows_of(uninterrupted)
    assert result_of(folder) == result_of(uninterrupted)
    assert same_checkpoint(folder, uninterrupted, "last.ckpt")
    assert same_checkpoint(folder, uninterrupted, "best.ckpt")
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a child")
def test_a_run_whose_epoch_is_one_execution_stops_at_its_end_and_resumes_bit_for_bit(tmp_path, shell):
    overrides = ["steps_per_execution=auto", "epochs=60"]
    whole, folder = tmp_path / "whole", tmp_path / "runs" / "blobs-deep" / "stopped"
    shell("train.py", *RUN, *overrides, f"hydra.run.dir={whole}", check=True)
    folder.parent.mkdir(parents=True)
    assert stopped(folder, signal.SIGINT, *overrides)[0] == 130
    assert 3 <= len(rows_of(folder)) < 60
    shell("train.py", "resume=last", check=True)
    assert rows_of(folder) == rows_of(whole)
    assert same_checkpoint(folder, whole, "last.ckpt")
    assert same_checkpoint(folder, whole, "best.ckpt")


@pytest.mark.slow
def test_a_finished_run_continues_with_more_epochs_as_if_started_with_them(shell, tmp_path, uninterrupted):
    short = tmp_path / "short"
    shell("train.py", *RUN, "epochs=5", f"hydra.run.dir={short}", check=True)
    shell("train.py", f"resume={short}", "epochs=12", check=True)
    assert rows_of(short) == rows_of(uninterrupted)
    command = json.loads((short / "result.json").read_text(encoding="utf-8"))["command"]
    assert command == f"python train.py {' '.join(override for override in RUN if 'epochs' not in override)} epochs=12"
    assert same_checkpoint(short, uninterrupted, "best.ckpt")
    events = [path for path in short.iterdir() if path.name.startswith("events")]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = [event.step for event in EventAccumulator(str(short)).Reload().Scalars("val/loss")]
    assert len(events) == 2
    assert steps == list(range(1, 13))


@pytest.mark.slow
def test_a_run_in_float64_resumes_without_rounding(shell, tmp_path):
    overrides, whole, folder = [*RUN, "precision=64-true"], tmp_path / "whole", tmp_path / "short"
    shell("train.py", *overrides, "epochs=4", f"hydra.run.dir={whole}", check=True)
    shell("train.py", *overrides, "epochs=2", f"hydra.run.dir={folder}", check=True)
    shell("train.py", f"resume={folder}", "epochs=4", check=True)
    assert rows_of(folder) == rows_of(whole)
    assert same_checkpoint(folder, whole, "last.ckpt")


@pytest.mark.slow
def test_an_option_that_would_change_a_resumed_run_is_rejected(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}", check=True)
    before = (folder / "result.json").read_text(encoding="utf-8")
    rejected = shell("train.py", f"resume={folder}", "optimizer=sgd")
    assert rejected.returncode == 2
    assert "optimizer=sgd cannot change when a run is resumed" in rejected.stderr
    assert (folder / "result.json").read_text(encoding="utf-8") == before


def test_resume_without_a_run_is_rejected(shell):
    for override, message in (("resume=last", "found no run"), ("resume=nowhere", "is not a run folder")):
        rejected = shell("train.py", override)
        assert (rejected.returncode, message in rejected.stderr) == (2, True), rejected.stderr
        assert "Traceback" not in rejected.stderr


@pytest.mark.slow
def test_a_second_run_in_a_folder_is_rejected(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}", check=True)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    rejected = shell("train.py", *RUN, "epochs=1", f"hydra.run.dir={folder}")
    assert rejected.returncode == 2
    assert "already contains a run" in rejected.stderr
    assert {path: path.read_bytes() for path in folder.glob("*.json")} == before


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="trainer=gpu works on this machine")
def test_a_run_that_cannot_be_resumed_stays_unchanged(shell, tmp_path):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=3", f"hydra.run.dir={folder}", check=True)

    def files():
        paths = [folder / "result.json", folder / "metrics.csv", *sorted((folder / ".hydra").iterdir())]
        return {path.name: path.read_bytes() for path in paths}

    before = files()
    for args, message in [
        ([f"resume={folder}", "trainer=gpu"], "trainer=gpu: no such device was found"),
        ([f"resume={folder}", "epochs=2"], "already has 3 epochs, and epochs=2 is fewer"),
        (["data=ring", "epochs=1", f"hydra.run.dir={folder}"], "already contains a run"),
        (["-m", f"resume={folder}", "epochs=4,5"], "is not a sweep folder"),
    ]:
        rejected = shell("train.py", *args)
        assert (rejected.returncode, message in rejected.stdout + rejected.stderr) == (2, True), rejected.stderr
        assert files() == before


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Return runs(name=(status, has_checkpoint), ...), which creates run folders, the oldest first."""
    monkeypatch.chdir(tmp_path)

    def make(**states) -> None:
        for age, (name, (status, has_checkpoint)) in enumerate(states.items()):
            folder = tmp_path / "runs" / "a-b" / name
            (folder / ".hydra").mkdir(parents=True)
            (folder / ".hydra" / "hydra.yaml").touch()
            (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
            (folder / "checkpoints").mkdir()
            if has_checkpoint:
                zipfile.ZipFile(folder / "checkpoints" / "last.ckpt", "w").close()
            if status:
                (folder / "result.json").write_text(json.dumps({"status": status}), encoding="utf-8")
            os.utime(folder / ".hydra", (age, age))

    return make


def test_last_is_the_newest_run_that_can_be_resumed_and_newer_ones_are_listed(runs, capsys):
    runs(old=("interrupted", True), killed=(None, True), whole=("finished", True), far=("diverged", True))
    taken, whole, far = (Path("runs/a-b") / name for name in ("killed", "whole", "far"))
    assert resume.expand(["resume=last"])[0] == f"resume='{taken}'"
    newer = f"{far} (diverged); {whole} (finished; epochs=... would continue it)"
    assert capsys.readouterr().err == f"resume=last resumes {taken}; newer ones that cannot be resumed: {newer}\n"


def test_a_run_whose_folder_was_given_can_be_the_last_one(runs):
    runs(old=("interrupted", True), given=("interrupted", True))
    Path("runs/a-b/given").rename("runs/given")
    assert resume.expand(["resume=last"])[0] == f"resume='{Path('runs/given')}'"


def test_a_sweep_in_a_folder_that_was_given_is_resumed_there(tmp_path):
    hydra = {"overrides": {"task": ["data=blobs", "seed=0,1"], "hydra": ["hydra.mode=MULTIRUN", "hydra.sweep.dir=/x"]}}
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), tmp_path / "multirun.yaml")
    expected = ["-m", "data=blobs", "seed=0,1", f"hydra.sweep.dir='{tmp_path}'"]
    assert resume.expand([f"resume={tmp_path}"]) == expected


def test_a_run_that_was_killed_before_its_first_checkpoint_is_the_last_one(runs):
    runs(old=("interrupted", True), killed=(None, False), started=(None, False))
    Path("runs/a-b/started/.hydra/overrides.yaml").unlink()  # so early that its config is incomplete
    assert resume.expand(["resume=last"])[0] == f"resume='{Path('runs/a-b/killed')}'"


@pytest.mark.parametrize(
    ("status", "seconds", "starts"), [("failed", 5, True), ("failed", 500, False), (None, 0, False)]
)
def test_a_run_only_starts_again_if_it_has_just_begun(tmp_path, status, seconds, starts):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    if status:
        (tmp_path / "result.json").write_text(json.dumps({"status": status, "seconds": seconds}))
    if starts:
        assert checkpoint_to_resume(tmp_path) is None
    else:
        with pytest.raises(
            UserError, match=r"has no checkpoints/last\.ckpt to resume from, only checkpoints/best\.ckpt"
        ):
            checkpoint_to_resume(tmp_path)


@pytest.mark.slow
def test_a_best_checkpoint_that_is_older_than_the_last_one_is_written_again(shell, tmp_path, uninterrupted):
    folder = tmp_path / "run"
    shell("train.py", *RUN, "epochs=4", f"hydra.run.dir={folder}", check=True)
    old = (folder / "checkpoints" / "best.ckpt").read_bytes()
    shell("train.py", f"resume={folder}", "epochs=12", check=True)
    (folder / "checkpoints" / "best.ckpt").write_bytes(old)
    (folder / "result.json").unlink()  # as after a kill between the two checkpoints
    shell("train.py", f"resume={folder}", check=True)
    assert same_checkpoint(folder, uninterrupted, "best.ckpt")
    assert result_of(folder)["metrics"] == result_of(uninterrupted)["metrics"]


def test_last_is_a_finished_run_if_more_epochs_are_given(runs):
    runs(killed=(None, True), whole=("finished", True), mistyped=("failed", False))
    assert resume.expand(["resume=last", "epochs=9"])[1] == f"resume='{Path('runs/a-b/whole')}'"


def test_without_a_run_that_can_be_resumed_the_message_names_only_the_newest_with_the_reason(runs):
    runs(**{f"run{i}": ("failed", False) for i in range(9)}, far=("diverged", True))
    with pytest.raises(
        UserError, match=r"no run to resume in .* The newest cannot be resumed: .*far \(diverged\)"
    ) as error:
        resume.expand(["resume=last"])
    assert str(error.value).endswith("; nor can 9 older ones. Start a new run.")


@pytest.mark.slow
def test_runs_that_change_to_their_own_folder_can_be_resumed_and_swept(shell, tmp_path):
    chdir, plain = "hydra.job.chdir=true", ["data=blobs", "trainer=cpu", *PLAIN, "logger=[csv,tensorboard]"]
    first = shell("train.py", *plain, "epochs=1", chdir, check=True)
    (folder,) = (tmp_path / "runs").glob("blobs-deep/*")
    assert f"folder   {folder.relative_to(tmp_path)}" in first.stdout
    shell("train.py", "resume=last", "epochs=2", chdir, check=True)
    assert len(rows_of(folder)) == 2
    assert {"best.ckpt", "last.ckpt"} == {path.name for path in (folder / "checkpoints").iterdir()}
    shell("train.py", "-m", *plain, "epochs=1", chdir, "seed=0,1", "steps_per_execution=1", "sweep.name=s", check=True)
    assert (tmp_path / "runs/sweeps/s/leaderboard.csv").is_file()
    assert len(list(tmp_path.rglob("result.json"))) == 3
