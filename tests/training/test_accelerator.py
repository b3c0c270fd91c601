"""Results on this machine's accelerator compared with those on the CPU."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from conftest import rows_of, weights_of
from test_resume import RUN, same_checkpoint, stopped

MPS = torch.backends.mps.is_available()
ACCELERATOR = "trainer=mps" if MPS else "trainer=gpu"
DOUBLE, TOLERANCE = ("precision=32-true", 1e-4) if MPS else ("precision=64-true", 1e-9)  # mps has no float64
SMALL = ["pictures=none", "epochs=4"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.accelerator.is_available(), reason="this machine has no accelerator"),
]

SAME = {
    "defaults": [],
    "dropout": ["dropout=0.2", "activation=rrelu"],
    "regularized": ["l1=1e-3", "clip=0.5", "weight_decay=1e-2", "batch_norm=true"],
    "averaged": ["average=ema", "schedule=cosine"],
    "one_by_one": ["steps_per_execution=1", "optimizer=sgd"],
    "regression": ["data=line", "model=linear"],
    "wide_deep": ["data=blobs", "model=wide_deep"],
}


def trained(shell, tmp_path, name, *overrides):
    folder = tmp_path / name
    shell("train.py", *SMALL, *overrides, f"hydra.run.dir={folder}", check=True)
    return folder


def assert_same_rows(one, other, tolerance=TOLERANCE):
    for expected, found in zip(rows_of(one), rows_of(other), strict=True):
        values = [[float(v) for v in row.values()] for row in (expected, found)]
        assert expected.keys() == found.keys()
        assert values[0] == pytest.approx(values[1], rel=tolerance, abs=tolerance, nan_ok=True)


@pytest.mark.parametrize("overrides", SAME.values(), ids=SAME)
def test_training_gives_the_same_results_as_on_the_cpu(shell, tmp_path, overrides):
    trainers = ("trainer=cpu", ACCELERATOR)
    cpu, other = (trained(shell, tmp_path, trainer[8:], *overrides, DOUBLE, trainer) for trainer in trainers)
    assert_same_rows(cpu, other)
    for name in ("best", "last"):
        for key, tensor in weights_of(cpu, name).items():
            torch.testing.assert_close(tensor, weights_of(other, name)[key], rtol=TOLERANCE, atol=TOLERANCE, msg=key)


def test_training_on_images_gives_the_same_results_as_on_the_cpu(shell, tmp_path):
    overrides = ["data=mnist_sample", "model=cnn", "epochs=2", "precision=32-true"]
    trainers = ("trainer=cpu", ACCELERATOR)
    cpu, other = (trained(shell, tmp_path, trainer[8:], *overrides, trainer) for trainer in trainers)
    assert_same_rows(cpu, other, tolerance=0.05)


def test_auto_uses_the_accelerator_for_images_and_the_cpu_for_a_small_model_on_a_table(shell, tmp_path):
    images = ["data=mnist_sample", "model=cnn", "epochs=1", "pictures=none"]
    assert "trainer=auto uses the accelerator" in shell("train.py", *images, check=True).stdout
    assert "trainer=auto uses the CPU" in shell("train.py", *SMALL, check=True).stdout


@pytest.mark.parametrize("overrides", [["precision=bf16-mixed"], ["precision=16-mixed"], ["compile=true"]], ids=str)
def test_digits_are_learned_with_mixed_precision_and_with_compile(shell, tmp_path, overrides):
    folder = trained(shell, tmp_path, "run", "data=mnist_sample", "model=cnn", "epochs=8", ACCELERATOR, *overrides)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "finished"
    assert result["metrics"]["test/accuracy"] > 0.9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_resumes_bit_for_bit(shell, tmp_path, number):
    whole, folder = tmp_path / "whole", tmp_path / "runs" / "blobs-deep" / "stopped"
    folder.parent.mkdir(parents=True)
    overrides = [*(override for override in RUN if override != "trainer=cpu"), ACCELERATOR]
    shell("train.py", *overrides, f"hydra.run.dir={whole}", check=True)
    stopped(folder, number, "+callbacks.checkpoints.every_seconds=0", run=overrides)
    shell("train.py", "resume=last", check=True)
    assert rows_of(folder) == rows_of(whole)
    assert same_checkpoint(folder, whole, "last.ckpt")


@pytest.mark.skipif(MPS, reason="only CUDA's devices can be hidden from a process")
def test_its_runs_can_be_evaluated_without_it(shell, tmp_path):
    result = trained(shell, tmp_path, "run", ACCELERATOR, DOUBLE, "dropout=0.1") / "result.json"
    before = json.loads(result.read_text(encoding="utf-8"))["metrics"]
    command = [sys.executable, "-m", "kindling", "evaluate", f"run={result.parent}"]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, cwd=tmp_path, env=hidden, check=True, capture_output=True, timeout=120)
    assert json.loads(result.read_text(encoding="utf-8"))["metrics"] == pytest.approx(before, rel=TOLERANCE)


def test_a_sweep_trains_together_and_ranks_as_on_the_cpu(shell, tmp_path):
    grid = ["-m", "seed=0,1", "lr=0.01,0.003", "dropout=0.0,0.2", "activation=relu,tanh", *SMALL, DOUBLE]
    for trainer in ("trainer=cpu", ACCELERATOR):
        output = shell("train.py", *grid, trainer, f"sweep.name={trainer[8:]}", check=True).stdout
        assert "together" in output
        assert "one by one" not in output
    sweeps = (tmp_path / "runs" / "sweeps" / name for name in ("cpu", ACCELERATOR[8:]))
    # A folder's name ends with a key that depends on the trainer.
    folders = [sorted(path.parent for path in sweep.glob("*/metrics.csv")) for sweep in sweeps]
    assert [path.name.rpartition("_")[0] for path in folders[0]] == [
        path.name.rpartition("_")[0] for path in folders[1]
    ]
    assert len(folders[0]) == 16
    for one, other in zip(*folders, strict=True):
        assert_same_rows(one, other)


def test_members_that_have_finished_leave_their_group_as_on_the_cpu(shell, tmp_path):
    grid = ["-m", "data=blobs", "seed=range(0,12)", "lr=0.01", "width=4", "batch_size=8", "epochs=200", "patience=2"]
    for trainer in ("trainer=cpu", ACCELERATOR):
        args = [*grid, "pictures=none", DOUBLE, trainer, f"sweep.name={trainer[8:]}", "hydra.launcher.workers=0"]
        assert "the others continue without them" in shell("train.py", *args, check=True).stdout
    folders = [sorted((tmp_path / "runs" / "sweeps" / name).glob("*/metrics.csv")) for name in ("cpu", ACCELERATOR[8:])]
    assert len(folders[0]) == 12
    for one, other in zip(*folders, strict=True):
        assert_same_rows(one.parent, other.parent)
