"""A signal at any place of an epoch leaves a checkpoint from which training goes on bit for bit."""

import os
import signal
from functools import partial

import pytest
import pytorch_lightning as pl
import torch

from kindling.checkpoints import BestAndLast
from kindling.data import Blobs
from kindling.models import Deep

PLACES = [
    "train_batch_start",
    "train_batch_end",
    "validation_start",
    "validation_end",
    "train_epoch_end",
    "train_epoch_start",
]


class Sends(pl.Callback):
    """Sends its own process a signal when `place` comes for the second time."""

    takes_chunks = True

    def __init__(self, number: int, place: str):
        self.left = 2

        def fire(*_) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)

        setattr(self, f"on_{place}", fire)


def trained(folder, chunk, callback=None, ckpt_path=None) -> dict:
    """Weights after six epochs."""
    torch.manual_seed(0)
    data = Blobs(chunk=chunk)
    model = Deep(**data.facts(), dropout=0.1, optimizer=partial(torch.optim.Adam, lr=0.01))
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", callbacks=[*([callback] if callback else []), BestAndLast(folder)],
        logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    assert trainer.global_step == 6 * 29
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process on Windows")
@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("chunk", ["auto", 5, "off"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_at_any_place_of_an_epoch_loses_nothing(tmp_path, name, place, chunk):
    number = getattr(signal, name)
    handler = signal.getsignal(number)
    whole = trained(tmp_path / "whole", chunk)
    with pytest.raises(SystemExit):
        trained(tmp_path / "stopped", chunk, Sends(number, place))
    assert signal.getsignal(number) == handler
    last = tmp_path / "stopped" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] < 6 * 29
    resumed = trained(tmp_path / "stopped", chunk, ckpt_path=last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
