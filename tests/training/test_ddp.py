"""Two processes take the same steps as one, on every sample once, and share one run folder."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import FLOAT, PROJECT, rows_of, weights_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

# 900 training samples in batches of 33 (17 and 16 per process), the last of 9; 37 validation and 1,001 test samples.
OVERRIDES = ["data=blobs", "batch_size=33", "optimizer=sgd", "epochs=3", "data.num_test=1001", "data.val_share=0.037"]


def trained(folder, *overrides):
    command = [sys.executable, str(PROJECT / "train.py"), *OVERRIDES, *overrides, f"hydra.run.dir={folder}"]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pr_curves(folder):
    events = EventAccumulator(str(folder)).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("pr/")]
    return {tag: make_ndarray(events.Tensors(tag)[0].tensor_proto) for tag in tags}


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [["steps_per_execution=4"], ["steps_per_execution=1"], ["average=ema", "clip=0.5", "schedule=cosine"]],
    ids=str,
)
def test_two_processes_give_the_results_of_one(tmp_path, overrides):
    trained(tmp_path / "one", "trainer=cpu", *overrides)
    output = trained(tmp_path / "two", "trainer=ddp_cpu", *overrides)
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=FLOAT, rtol=0)
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two")]
    assert results[1]["metrics"] == pytest.approx(results[0]["metrics"], abs=1e-5)
    steps = [[row["step"] for row in rows_of(tmp_path / name)] for name in ("one", "two")]
    assert steps[0] == steps[1]
    matrices = [(tmp_path / name / "confusion_matrix.csv").read_text() for name in ("one", "two")]
    assert matrices[0] == matrices[1]
    counts = [int(n) for line in matrices[1].splitlines()[1:] for n in line.split(",")[1:]]
    assert sum(counts) == 1001
    assert output.count("best epoch") == output.count("confusion matrix") == 1
    assert len(list((tmp_path / "two").glob("events.*"))) == 1
    assert "skipped" not in output
    pictures = [{file.name for file in (tmp_path / name).glob("*.png")} for name in ("one", "two")]
    assert pictures[0] == pictures[1]
    single, shared = (pr_curves(tmp_path / name) for name in ("one", "two"))
    assert single.keys() == shared.keys()
    for tag in single:
        np.testing.assert_allclose(shared[tag], single[tag], atol=1e-3)  # over all test samples


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_signal_to_the_first_of_two_processes_stops_both_and_both_can_be_resumed(tmp_path):
    overrides = ["trainer=ddp_cpu", "steps_per_execution=4", "epochs=40"]
    trained(tmp_path / "whole", *overrides)
    folder = tmp_path / "stopped"
    command = [sys.executable, str(PROJECT / "train.py"), *OVERRIDES, *overrides, f"hydra.run.dir={folder}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        metrics, deadline = folder / "metrics.csv", time.monotonic() + 60
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    command = [sys.executable, str(PROJECT / "train.py"), f"resume={folder}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    whole, resumed = weights_of(tmp_path / "whole"), weights_of(folder)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    for row, again in zip(rows_of(tmp_path / "whole"), rows_of(folder), strict=True):
        # The samples of the interrupted epoch are summed in another order.
        assert {k: float(v) for k, v in again.items()} == pytest.approx({k: float(v) for k, v in row.items()}, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_whose_first_process_is_killed_ends_without_a_traceback(tmp_path):
    overrides = ["trainer=ddp_cpu", "steps_per_execution=4", "epochs=4000", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, str(PROJECT / "train.py"), *OVERRIDES, *overrides]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        metrics, deadline = tmp_path / "run" / "metrics.csv", time.monotonic() + 60
        while not metrics.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        output, _ = process.communicate(timeout=60)  # until the other process has closed the pipe
    assert "the first process of this run has ended, and so does this one" in output
    assert "Traceback" not in output


LATE = """
import os, signal, time
import pytorch_lightning as pl

class Late(pl.Callback):
    supports_multi_step = True

    def on_test_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            time.sleep(2)  # until the other process has ended
            os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_signal_to_the_first_process_after_the_other_has_ended_its_test_stops_it(tmp_path):
    (tmp_path / "late.py").write_text(LATE)
    overrides = ["trainer=ddp_cpu", "+callbacks.late={_target_: late.Late}"]
    command = [sys.executable, str(PROJECT / "train.py"), *OVERRIDES, *overrides, f"hydra.run.dir={tmp_path / 'run'}"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 143, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "interrupted"


def test_ddp_in_a_sweep_is_rejected(shell):
    rejected = shell("train.py", "-m", "trainer=ddp_cpu", "seed=0,1", "hydra/launcher=basic")
    assert rejected.returncode == 2
    assert "would restart the whole sweep in every process" in rejected.stderr
