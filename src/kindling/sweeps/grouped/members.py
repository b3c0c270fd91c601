"""A group of nets as one LightningModule: the training step of kindling.models.base.Model for all of them."""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from kindling.models.base import Model
from kindling.models.multi_step import backward_of
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.update import Member, Part, Rates, Update
from kindling.tasks import losses
from kindling.tasks.scoring import scores

# By hand what vmap would do, in a third of the time: a mean over all but the members.
BATCHED = {
    losses.bce: lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean((1, 2)),
    losses.mse: lambda z, y: (z - y).square().mean((1, 2)),
}


def batched(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of every member (M,), of logits (M, N, num_outputs) and y (M, N, ...)."""
    return BATCHED.get(loss) or vmap(loss)


class Members(pl.LightningModule):
    """Trains M nets side by side; none sees another.

    Args:
        stack: their weights and forward pass.
        members, parts: what the optimizer step of each wants.
        rates: their learning rates.
        model: one of them, with the task, loss and metrics of all.
    """

    def __init__(self, stack: Stack, members: list[Member], parts: list[Part], *, rates: Rates, model: Model):
        super().__init__()
        self.automatic_optimization = False
        self.stack, self.members, self.parts, self.rates = stack, members, parts, rates
        self.task, self.target_std, self.own_metrics = model.task, model.target_std, model.own_metrics
        self.loss, self.training_loss = batched(model.loss), batched(model.training_loss)
        self.metrics: dict[str, dict[str, Tensor]] = {}  # stage -> name -> (M,), of the epoch
        self.counts: Tensor | None = None  # confusion counts (M, C, C) of the validation samples, else the training's
        self._kept: dict[str, list] = {"train": [], "val": []}
        self._backward = self.manual_backward

    def setup(self, stage: str) -> None:
        self._backward = backward_of(self)

    def configure_optimizers(self) -> Update:
        return Update(self.stack.rows, self.members, self.parts, rates=self.rates)

    def training_step(self, batch: list[tuple[Tensor, Tensor]], batch_idx: int) -> dict:
        optimizer, losses = self.optimizers(), []
        for x, y in batch:
            logits = self.stack(x)  # (M, B, num_outputs)
            loss = self.training_loss(logits, y)  # (M,)
            self.stack.rows.grad = None
            self._backward(loss.sum())
            optimizer.step()
            losses.append(loss.detach())
            self._kept["train"].append((logits.detach(), y))
        return {"losses": torch.stack(losses)}  # (steps, M)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        m = len(self.members)
        self._kept["val"].append((self.stack(x.expand(m, *x.shape)), y.expand(m, *y.shape)))

    def on_train_epoch_start(self) -> None:
        self.metrics, self.counts = {}, None

    def on_train_batch_end(self, outputs, batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch or self.trainer.should_stop:
            self._score("train")

    def on_validation_epoch_end(self) -> None:
        self._score("val")

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["rates"] = self.rates.state_dict()
        if self._kept["train"]:  # in mid-epoch: what the epoch's metrics are computed from
            checkpoint["kept"] = [torch.cat(part, 1) for part in zip(*self._kept["train"], strict=True)]

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.rates.load_state_dict(checkpoint["rates"])
        self._kept["train"] = [tuple(part.to(self.device) for part in checkpoint.get("kept", ()))]
        self._kept["train"] = [kept for kept in self._kept["train"] if kept]

    def _score(self, stage: str) -> None:
        """The epoch's metrics over all its rows, as kindling.models.base.Model computes them."""
        logits, y = (torch.cat([part.to(self.device) for part in p], 1) for p in zip(*self._kept[stage], strict=True))
        self._kept[stage] = []
        own, std = self.own_metrics, self.target_std
        self.metrics[stage] = scores(self.task, self.loss, logits, y=y, target_std=std, own=own)
        if stage == "val" or not any(self.trainer.num_val_batches):
            self.counts = self.task.confusion(logits, y)
        # For the line of progress.
        means = {f"{stage}/{name}": values.nanmean() for name, values in self.metrics[stage].items()}
        self.trainer.callback_metrics.update(means)
