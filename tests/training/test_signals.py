"""A signal at any point of an epoch leaves a checkpoint from which training resumes bit for bit."""

import os
import signal

import pytest
import torch
from conftest import Sends, fitted

from kindling.training.stopping import LastStep

HOOKS = [
    "train_batch_start",
    "train_batch_end",
    "validation_start",
    "validation_end",
    "train_epoch_end",
    "train_epoch_start",
]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process on Windows")
@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("steps_per_execution", ["auto", 5, 1])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_at_any_point_of_an_epoch_loses_nothing(tmp_path, name, hook, steps_per_execution):
    number = getattr(signal, name)
    handler = signal.getsignal(number)
    whole = fitted(tmp_path / "whole", steps_per_execution=steps_per_execution)
    with pytest.raises(SystemExit):
        fitted(tmp_path / "stopped", Sends(number, hook), steps_per_execution=steps_per_execution)
    assert signal.getsignal(number) == handler
    last = tmp_path / "stopped" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] < 6 * 29
    resumed = fitted(tmp_path / "stopped", steps_per_execution=steps_per_execution, ckpt_path=last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process on Windows")
@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("hook", ["train_batch_end", "validation_end", "train_epoch_end"])
def test_a_resumed_run_with_a_limit_of_steps_ends_at_the_same_step(tmp_path, hook):
    whole = fitted(tmp_path / "whole", LastStep(100), steps=100)
    with pytest.raises(SystemExit):
        fitted(tmp_path / "stopped", Sends(signal.SIGTERM, hook), LastStep(100))
    resumed = fitted(tmp_path / "stopped", LastStep(100), ckpt_path=tmp_path / "stopped" / "last.ckpt", steps=100)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
