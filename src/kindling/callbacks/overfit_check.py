"""`debug=overfit` checks that the model can overfit a few samples; if it cannot, something is wrong."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of

MOST = 10_000  # training samples from which those few are chosen
log = logging.getLogger("kindling")


class Overfit(pl.Callback):
    """Trains on a few samples until the loss has fallen enough.

    It uses at most one sample more than there are inputs, so that even a linear model can fit them.

    Args:
        share: fraction of the first step's loss to which the loss must fall.
        rows: number of samples of a kindling.data.base.Data; other data are not reduced.

    Raises:
        UserError: at the end of training the loss is still too high.
    """

    supports_multi_step = True

    def __init__(self, share: float = 0.1, rows: int = 8):
        self.share, self.rows = share, rows
        self.first: float | None = None
        self.last = float("nan")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = datamodule_of(trainer)
        if stage == "fit" and isinstance(data, Data):
            x, y = (t[:MOST] for t in data.samples["train"])
            chosen = _choose(x, y, min(self.rows, x[0].numel() + 1))
            data.samples["train"], data.batch_size = (x[chosen], y[chosen]), "full"
            data.weights, self.rows = {}, len(chosen)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["losses"][-1] if "losses" in outputs else outputs["loss"]
        self.last = float(loss)
        self.first = self.last if self.first is None else self.first
        if self.last <= self.share * self.first:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        first = float("nan") if self.first is None else self.first
        change = f"went from {first:.4g} to {self.last:.4g} in {trainer.global_step} steps"
        if not self.last <= self.share * first:
            raise UserError(
                f"debug=overfit: the loss on {self.rows} samples {change}; it should have fallen to {self.share:.0%} "
                "of its initial value. Check for a layer that blocks gradients, an extra softmax or sigmoid, targets "
                "whose shape differs from that of the logits, or an unsuitable learning rate."
            )
        log.info(f"debug=overfit: the loss on {self.rows} samples {change}: the model can learn")


def _choose(x: Tensor, y: Tensor, number: int) -> Tensor:
    """Return indices of samples: half are the nearest with the first one's target, half the farthest with another."""
    distances = (x.flatten(1).float() - x[0].flatten().float()).norm(dim=1)
    same = (y == y[0]).view(len(y), -1).all(1)
    near = distances.masked_fill(~same, torch.inf).argsort()[: min(int(same.sum()), (number + 1) // 2)]
    far = distances.masked_fill(same, -torch.inf).argsort(descending=True)
    return torch.cat([far[: min(int((~same).sum()), number - len(near))], near])
