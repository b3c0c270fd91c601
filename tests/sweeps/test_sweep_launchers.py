"""Sweeps with Hydra's launchers that start processes, if their packages are installed."""

import importlib.util
import json
import os
from types import SimpleNamespace

import pytest

from kindling.sweeps.sweep import Sweep

PACKAGES = {"joblib": "joblib", "submitit_local": "submitit"}
REPORTER = """
import os
from pathlib import Path
import pytorch_lightning as pl

class Reporter(pl.Callback):
    def on_fit_start(self, trainer, module):
        threads = os.environ.get("OMP_NUM_THREADS", "not set")
        Path(os.environ["REPORTS"], str(trainer.datamodule.seed)).write_text(threads)
"""


def needs(package):
    return pytest.mark.skipif(
        importlib.util.find_spec(f"hydra_plugins.hydra_{package}_launcher") is None,
        reason=f"hydra-{package}-launcher is not installed",
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [pytest.param(name, marks=needs(package)) for name, package in PACKAGES.items()])
def test_a_sweep_runs_with_one_thread_per_process_and_can_be_repeated(launcher, tmp_path, shell, table):
    (tmp_path / "reporter.py").write_text(REPORTER)
    env = {**os.environ, "REPORTS": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    args = ["train.py", "-m", *table, "epochs=2", "model=logistic,cnn", "seed=0,1", "sweep.name=s"]
    args += [f"hydra/launcher={launcher}", "+callbacks.reporter={_target_: reporter.Reporter}"]
    first = shell(*args, env=env)
    assert first.returncode == 1, first.stdout + first.stderr  # the CNN cannot take a table
    folder = tmp_path / "runs/sweeps/s"
    jobs = [job["folder"] for job in json.loads((folder / "jobs.json").read_text())["jobs"]]
    found = {name: json.loads((folder / name / "result.json").read_text())["status"] for name in jobs}
    assert found == {name: "finished" if "logistic" in name else "failed" for name in jobs}
    assert len(jobs) == 4
    assert {(tmp_path / str(seed)).read_text() for seed in (0, 1)} == {"1"}
    assert "model=cnn needs images" in first.stdout
    assert (folder / "leaderboard.csv").exists()
    second = shell(*args, env=env)
    assert "4 jobs, 2 already finished, 2 to retry" in second.stdout


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_the_error_of_a_launcher_without_its_package_explains_how_to_install_it(shell):
    rejected = shell("train.py", "-m", "hydra/launcher=ray", "seed=0,1")
    assert (rejected.returncode, rejected.stderr.strip()) == (
        2,
        'hydra/launcher=ray needs another package: pip install -e ".[ray]"',
    )


def test_a_job_without_a_score_counts_as_ended(tmp_path, caplog):
    (tmp_path / "result.json").write_text(
        json.dumps({"status": "finished", "score": None, "monitor": None, "seconds": 1})
    )
    lines = SimpleNamespace(done=0, total=1, stops=True)
    with caplog.at_level("INFO", "kindling"):
        Sweep._job_ended(lines, SimpleNamespace(folder=tmp_path, name="lr=1"))
    assert "1/1  lr=1  no score  1.0 s" in caplog.text
