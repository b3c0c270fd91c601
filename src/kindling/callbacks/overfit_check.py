"""`debug=overfit` trains on a few rows until the loss is nearly 0; if it never is, something is wrong."""

import logging

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data

log = logging.getLogger("kindling")


class Overfit(pl.Callback):
    """A model that cannot learn a few rows by heart will not learn more of them either.

    The rows are so few that even a linear model can: at most one more than there are inputs.

    Args:
        share: the loss must fall to this share of the first step's.
        rows: of our data; a DataLoader's first batch is taken as it is.

    Raises:
        UserError: at the end, where the loss stayed above.
    """

    supports_multi_step = True

    def __init__(self, share: float = 0.1, rows: int = 8):
        self.share, self.rows = share, rows
        self.first: float | None = None
        self.last = float("nan")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = trainer.datamodule
        if stage == "fit" and isinstance(data, Data):
            x, y = data.samples["train"]
            chosen = _mixed(x, y, min(self.rows, x[0].numel() + 1))
            data.samples["train"], data.batch_size = (x[chosen], y[chosen]), "full"
            self.rows = len(chosen)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        loss = outputs["losses"][-1] if "losses" in outputs else outputs["loss"]
        self.last = float(loss)
        self.first = self.last if self.first is None else self.first
        if self.last <= self.share * self.first:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        change = f"went from {self.first:.4g} to {self.last:.4g} in {trainer.global_step} steps"
        if not self.last <= self.share * self.first:
            raise UserError(
                f"debug=overfit: the loss of {self.rows} rows {change}, not to {self.share:.0%} of it. Look for a "
                "layer that passes no gradient, a second softmax or sigmoid, targets of another shape than the logits, "
                "or a learning rate far off."
            )
        log.info(f"debug=overfit: the loss of {self.rows} rows {change}; the model can learn")


def _mixed(x: Tensor, y: Tensor, num_rows: int) -> Tensor:
    """Indices of so many rows: half the nearest to the first row of those with its target, half the farthest others."""
    far = (x.flatten(1).float() - x[0].flatten().float()).norm(dim=1)
    same = (y == y[0]).view(len(y), -1).all(1)
    like = far.masked_fill(~same, torch.inf).argsort()[: min(int(same.sum()), (num_rows + 1) // 2)]
    unlike = far.masked_fill(same, -torch.inf).argsort(descending=True)[: min(int((~same).sum()), num_rows - len(like))]
    return torch.cat([unlike, like])
