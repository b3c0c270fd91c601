"""A user's DataLoader that can return to its position is resumed within an epoch."""

import signal

import pytest
import pytorch_lightning as pl
import torch
from conftest import Sends
from stock_data import OrderedPoints
from stock_modules import Logs

from kindling.training.checkpoint import BestAndLast


class Dropping(Logs):
    """A module with dropout, which logs no means of an epoch, since a resumed epoch would lack some batches."""

    def __init__(self):
        super().__init__((2,), train="")
        self.net = torch.nn.Sequential(self.net, torch.nn.Dropout(0.5))


def fitted(folder, *callbacks, ckpt_path=None):
    torch.manual_seed(0)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[*callbacks, BestAndLast(folder)], logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Dropping(), datamodule=OrderedPoints(), ckpt_path=ckpt_path)
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
def test_random_numbers_continue_where_training_stopped_within_an_epoch(tmp_path):
    whole = fitted(tmp_path / "whole")
    with pytest.raises(SystemExit):
        fitted(tmp_path / "stopped", Sends(signal.SIGTERM, "train_batch_end"))
    assert torch.load(tmp_path / "stopped" / "last.ckpt", weights_only=True)["global_step"] < 30
    resumed = fitted(tmp_path / "stopped", ckpt_path=tmp_path / "stopped" / "last.ckpt")
    assert all(torch.equal(whole["state_dict"][key], resumed["state_dict"][key]) for key in whole["state_dict"])
    states = [saved["callbacks"]["BestAndLast"]["random_state"]["cpu"] for saved in (whole, resumed)]
    assert torch.equal(*states)
