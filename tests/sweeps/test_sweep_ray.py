"""A sweep on a Ray cluster of two separately started nodes, one of which is stopped during training."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PLAIN, PROJECT

ray = pytest.importorskip("ray", reason="Ray is not installed", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")]

RAY = [str(Path(sys.executable).with_name("ray"))]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    ADDRESS = f"127.0.0.1:{free.getsockname()[1]}"
ARGS = ["-m", "data=blobs", "trainer=cpu", "seed=0,1", "depth=1,2,3,4", *PLAIN]
GROUPS = ["epochs=200", "batch_size=8"]  # a group of two for each depth
INDIVIDUALLY = ["epochs=40", "+callbacks.own={_target_: own.Own}"]
OWN = "import pytorch_lightning as pl\n\nclass Own(pl.Callback):\n    def on_train_batch_end(self, *_):\n        pass\n"


@pytest.fixture
def env(tmp_path):
    """Return the environment of all processes, without a token and with the module of the jobs' callback."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled"}


@pytest.fixture
def node(tmp_path, env):
    """node("--head") starts a node with one CPU; all nodes are stopped at the end."""
    started = []

    def start(*args: str) -> subprocess.Popen:
        command = [*RAY, "start", "--num-cpus=1", "--node-ip-address=127.0.0.1", "--block", "--disable-usage-stats"]
        with (tmp_path / f"node{len(started)}.log").open("w") as log:
            started.append(
                subprocess.Popen(
                    [*command, *args], cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True
                )
            )
        return started[-1]

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_cpus(number, env):
    command = [*RAY, "status", f"--address={ADDRESS}"]
    wait_for(
        lambda: f"/{number}.0 CPU" in subprocess.run(command, env=env, capture_output=True, encoding="utf-8").stdout
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def board(folder):
    with (folder / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("args", "begun"), [(GROUPS, "groups/*.ckpt"), (INDIVIDUALLY, "*/metrics.csv")], ids=["groups", "jobs"]
)
def test_jobs_of_a_stopped_node_are_resumed_on_another_node(tmp_path, shell, env, node, args, begun):
    node("--head", f"--port={ADDRESS.partition(':')[2]}", "--include-dashboard=false")
    wait_for_cpus(1, env)
    other = node(f"--address={ADDRESS}")
    wait_for_cpus(2, env)
    on_ray = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={ADDRESS}"]
    command = [sys.executable, str(PROJECT / "train.py"), *ARGS, *args, "sweep.name=ray", *on_ray]
    folder = tmp_path / "runs/sweeps/ray"
    with (tmp_path / "output").open("w") as log:
        sweep = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: len(list(folder.glob(begun))) >= 2 or sweep.poll() is not None, seconds=120)
        assert sweep.poll() is None, (tmp_path / "output").read_text()
        os.killpg(other.pid, signal.SIGKILL)
        assert sweep.wait(300) == 0, (tmp_path / "output").read_text()
    output = (tmp_path / "output").read_text()
    assert "tasks for 2 CPUs of 2 Ray nodes" in output
    results = [json.loads((folder / name / "result.json").read_text()) for name in folders(folder)]
    assert [result["status"] for result in results] == ["finished"] * 8
    shell("train.py", *ARGS, *args, "sweep.name=here", check=True, env=env)
    assert board(folder) == board(tmp_path / "runs/sweeps/here")


def folders(folder):
    return [job["folder"] for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8"))["jobs"]]
