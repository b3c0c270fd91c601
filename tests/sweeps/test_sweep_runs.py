"""Sweeps from the command line: results, failures, killed processes and resuming."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import PROJECT
from sweeps.sweep_helpers import board, records

pytestmark = pytest.mark.slow
SMALL = ["optimizer=sgd", "hidden_sizes=[4]", "epochs=6", "sweep.name=s"]


def results(folder):
    """Return a job's folder -> status of its latest attempt."""
    jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
    return {job["folder"]: json.loads((folder / job["folder"] / "result.json").read_text())["status"] for job in jobs}


def test_failed_jobs_are_reported_and_not_ranked_and_only_they_run_again(tmp_path, shell):
    grid = ["lr=0.1,1e9", "activation=sigmoid,relu", "model=deep,cnn", "seed=0,1"]
    args = ["train.py", "-m", "data=diabetes", "trainer=cpu", *SMALL, *grid]
    first = shell(*args)
    assert first.returncode == 1, first.stderr
    folder = tmp_path / "runs/sweeps/s"
    statuses = results(folder)
    assert len(statuses) == 16
    for name, status in statuses.items():
        expected = "failed" if "cnn" in name else "diverged" if "lr=1000000000.0" in name else "finished"
        assert status == expected, name
        assert (f"{status.upper()}  {name}: " in first.stdout) == (status != "finished")
    assert "model=cnn needs images" in first.stdout
    ranked = [row for row in board(folder) if row["rank"].isdigit()]
    assert [(row["lr"], row["model"]) for row in ranked] == [("0.1", "deep")] * 2
    before = records(folder)
    second = shell(*args)
    assert second.returncode == 1
    assert "16 jobs, 4 already finished, 12 to retry" in second.stdout
    assert {name: text for name, text in records(folder).items() if name in before} == before
    assert sum(name.endswith(".2") for name in results(folder)) == 12


KILLER = """
import os, signal
from pathlib import Path
import pytorch_lightning as pl

class Killer(pl.Callback):
    supports_multi_step = True
    def on_train_epoch_end(self, trainer, module):
        once = Path("kill")
        if trainer.current_epoch == 2 and trainer.datamodule.seed == 1 and once.exists():
            once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_worker_process_does_not_affect_other_jobs(tmp_path, shell, table):
    (tmp_path / "killer.py").write_text(KILLER)
    (tmp_path / "kill").touch()
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    own = ["+callbacks.killer={_target_: killer.Killer}", "hydra.launcher.workers=2", "seed=0,1,2,3,4"]
    args = ["train.py", "-m", *table, *SMALL, *own]
    first = shell(*args, env=env)
    assert first.returncode == 1, first.stderr
    folder = tmp_path / "runs/sweeps/s"
    statuses = results(folder)
    assert sorted(statuses.values()) == ["finished"] * 4 + ["killed"]
    assert "its process was killed (exit code -9)" in first.stdout
    assert "5 jobs train individually: callbacks.killer works only in single runs" in first.stdout
    second = shell(*args, env=env)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "5 jobs, 4 already finished" in second.stdout
    assert set(results(folder).values()) == {"finished"}


@pytest.mark.slow
def test_groups_give_the_same_results_in_worker_processes(tmp_path, shell, table):
    args = ["train.py", "-m", *table, "epochs=6", "width=4", "depth=1,2,3", "seed=0,1"]
    for workers in (0, 2):
        done = shell(*args, f"hydra.launcher.workers={workers}", f"sweep.name=of_{workers}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert "3 groups in 2 single-threaded processes" in done.stdout
    one, other = (sorted((tmp_path / "runs/sweeps").glob(f"of_{workers}/depth*")) for workers in (0, 2))
    assert len(one) == 6
    for first, second in zip(one, other, strict=True):
        assert first.name == second.name
        assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


# Runs train.py, and kills the whole sweep when `place` is reached for the nth time.
KILLED = """
import os, runpy, signal, sys
place, n, *sys.argv = sys.argv[1:]
module, _, name = place.rpartition(".")
import importlib
left = int(n)
def kill(*args, whole, **kwargs):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **kwargs)
owner = importlib.import_module("kindling.sweeps." + module.split(":")[0])
for part in module.split(":")[1:]:
    owner = getattr(owner, part)
whole = getattr(owner, name)
setattr(owner, name, lambda *args, **kwargs: kill(*args, whole=whole, **kwargs))
if name == "save":
    owner.__init__.__defaults__ = (-1.0,)  # a checkpoint after every training step
runpy.run_path(sys.argv[0], run_name="__main__")
"""
GRID = ["lr=0.1,0.3", "activation=relu,tanh", "seed=0,1"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    args = ["-m", "data=diabetes", "trainer=cpu", *SMALL, *GRID]
    subprocess.run([sys.executable, str(PROJECT / "train.py"), *args], cwd=folder, check=True, capture_output=True)
    return args, folder / "runs/sweeps/s"


@pytest.mark.parametrize(
    ("place", "n"),
    [
        ("launch.plan", 1),  # nothing exists yet
        ("grouped.train.train", 1),  # the list of jobs exists
        ("grouped.train:GroupCheckpoint.save", 3),  # during training
        ("grouped.write._folder", 1),  # trained, no folder is written
        ("grouped.write._folder", 4),  # half of the folders are written
        ("grouped.write.write_json", 2),  # a folder is partly written
        ("launch._returned", 1),  # before the leaderboard
    ],
)
def test_a_killed_sweep_can_be_completed_with_the_same_results(place, n, undisturbed, tmp_path):
    args, expected = undisturbed
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), place, str(n), str(PROJECT / "train.py"), *args]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == -signal.SIGKILL
    command = [sys.executable, str(PROJECT / "train.py"), *args]
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    folder = tmp_path / "runs/sweeps/s"
    assert records(folder) == records(expected)
    assert board(folder) == board(expected)
    assert not list((folder / "groups").iterdir())


def test_a_sweep_stopped_by_a_signal_reports_how_to_continue(undisturbed, tmp_path):
    args, expected = undisturbed
    script = tmp_path / "stopped.py"
    script.write_text(KILLED.replace("signal.SIGKILL", "signal.SIGTERM"))
    command = [sys.executable, str(script), "grouped.train:GroupCheckpoint.save", "3", str(PROJECT / "train.py"), *args]
    stopped = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert stopped.returncode == 143, stopped.stderr
    assert "interrupted; to continue: python train.py resume=runs/sweeps/s" in stopped.stdout
    command = [sys.executable, str(PROJECT / "train.py"), "resume=runs/sweeps/s"]
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "resuming 8 jobs, model=" in again.stdout
    assert records(tmp_path / "runs/sweeps/s") == records(expected)


@pytest.mark.slow
def test_a_sweep_stopped_during_a_single_job_reports_how_to_continue(tmp_path):
    args = ["-m", "data=blobs", "trainer=cpu", "steps_per_execution=1", "seed=0,1", "epochs=1000", "sweep.name=s"]
    command = [sys.executable, str(PROJECT / "train.py"), *args, "hydra.launcher.workers=0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/sweeps/s/*/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in output) == (130, False)
    assert b"interrupted; to continue: python train.py resume=runs/sweeps/s" in output


def test_a_finished_sweep_runs_nothing_and_an_extended_one_only_new_jobs(undisturbed, tmp_path):
    args, _ = undisturbed
    for given, expected in (
        (args, "8 jobs  in"),
        (args, "8 jobs, 8 already finished"),
        ([*args[:-1], "seed=0,1,2"], "12 jobs, 8"),
    ):
        process = subprocess.run(
            [sys.executable, str(PROJECT / "train.py"), *given], cwd=tmp_path, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        assert expected in process.stdout
    folder = tmp_path / "runs/sweeps/s"
    assert len(results(folder)) == 12
    assert {row["n"] for row in board(folder) if row["rank"].isdigit()} == {"3"}
    assert len([path for path in folder.iterdir() if (path / "result.json").exists()]) == 12


def test_on_error_stop_ends_at_the_first_failure(tmp_path, shell, table):
    args = ["train.py", "-m", *table, *SMALL, "on_error=stop", "model=cnn,deep", "steps_per_execution=1", "seed=0"]
    process = shell(*args, "hydra.launcher.workers=0")
    assert process.returncode == 1
    assert "on_error=stop: the remaining jobs are not run" in process.stdout
    assert len(list((tmp_path / "runs/sweeps/s").glob("*/result.json"))) == 1


def test_a_ddp_job_runs_in_a_new_process(tmp_path, shell, table):
    args = [override for override in table if not override.startswith("trainer=")]
    process = shell("train.py", "-m", *args, *SMALL, "trainer=cpu,ddp_cpu")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "1 job trains individually: it uses several processes" in process.stdout
    assert set(results(tmp_path / "runs/sweeps/s").values()) == {"finished"}


def test_hydras_basic_launcher_gives_the_same_leaderboard(undisturbed, tmp_path):
    args, expected = undisturbed
    command = [sys.executable, str(PROJECT / "train.py"), *args, "hydra/launcher=basic"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    one, other = board(tmp_path / "runs/sweeps/s"), board(expected)
    assert [(row["rank"], row["lr"], row["activation"], row["n"]) for row in one] == [
        (row["rank"], row["lr"], row["activation"], row["n"]) for row in other
    ]


def test_two_sweeps_started_in_the_same_second_have_separate_folders(tmp_path):
    args = ["-m", "data=diabetes", "trainer=cpu", "epochs=1", "hidden_sizes=[2]", "seed=0,1"]
    command = [sys.executable, str(PROJECT / "train.py"), *args]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)
    ]
    for process in both:
        assert process.wait(120) == 0, process.stderr.read()
        process.stderr.close()
    assert len(list((tmp_path / "runs/sweeps").iterdir())) == 2
