"""Signals to a sweep with worker processes, and workers that outlive it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import PROJECT
from sweeps.sweep_helpers import board, records

from kindling.training.lock import lock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups"),
]


@pytest.fixture(scope="module")
def in_processes(tmp_path_factory):
    """Return the arguments of a sweep with two groups in a process each, one twice as long, and its folder."""
    folder = tmp_path_factory.mktemp("in_processes")
    args = [str(PROJECT / "train.py"), "-m", "data=blobs", "trainer=cpu", "hydra.launcher.workers=2"]
    args += ["pictures=none", "depth=1", "seed=0,1", "epochs=150", "batch_size=8,16"]
    subprocess.run([sys.executable, *args, "sweep.name=whole"], cwd=folder, check=True, capture_output=True)
    return args, folder / "runs/sweeps/whole"


def started(args, cwd):
    """Return the process of the sweep `stopped`, in a process group of its own, when the shorter group has trained."""
    log = cwd / "runs/sweeps/stopped/workers.log"
    sweep = subprocess.Popen(
        [sys.executable, *args, "sweep.name=stopped"], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not log.exists() or "epoch" not in log.read_text():
        assert sweep.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return sweep


def compare(folder, expected):
    assert records(folder) == records(expected)
    assert board(folder) == board(expected)
    assert not list((folder / "groups").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_groups_in_worker_processes_can_be_resumed_after_a_signal(number, in_processes, tmp_path, shell):
    args, expected = in_processes
    sweep = started(args, tmp_path)
    folder = tmp_path / "runs/sweeps/stopped"
    os.killpg(sweep.pid, number)
    assert sweep.wait(60) != 0
    ended = len(list(folder.glob("*/result.json"))) // 2  # groups of two jobs
    assert len(list((folder / "groups").glob("*.ckpt"))) == 2 - ended  # every group that was training was saved
    again = shell("train.py", "resume=runs/sweeps/stopped")
    assert again.returncode == 0, again.stderr
    compare(folder, expected)


def test_a_resumed_sweep_waits_for_the_workers_of_the_killed_one(in_processes, tmp_path):
    args, expected = in_processes
    sweep = started(args, tmp_path)
    folder = tmp_path / "runs/sweeps/stopped"
    with (folder / "workers.log").open("a") as log:
        assert not lock(log)  # the workers have it
        assert lock(log, shared=True)  # as one more worker, which ends later than the sweep is resumed
        sweep.kill()
        sweep.wait(60)
        command = [sys.executable, args[0], "resume=runs/sweeps/stopped"]
        again = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed = ""
        while "waiting until the workers of the killed sweep" not in printed:
            line = again.stdout.readline()
            assert line, f"the resumed sweep ended without waiting: {printed}"
            printed += line
    printed += again.communicate(timeout=120)[0]
    assert again.returncode == 0, printed
    compare(folder, expected)
