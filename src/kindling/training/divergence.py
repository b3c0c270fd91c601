"""When a run has diverged."""

import math

import pytorch_lightning as pl
import torch

from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS, logged_as
from kindling.data.base import Data
from kindling.models.base import Model
from kindling.tasks import losses

DIVERGED = 100.0  # a choice: far above the jumps of a high learning rate that still comes back


class Divergence(pl.Callback):
    """Stops a run whose loss is not finite, or has grown beyond DIVERGED times what is plausible.

    Plausible is the larger of the first epoch's loss and the best constant predictor's; at the end the latter alone, as
    a step size of 1e9 spoils the first epoch too. `diverged` then says where.
    """

    supports_multi_step = True

    def __init__(self):
        self.diverged: str | None = None
        self.first: float | None = None  # the first epoch's loss
        self.losses: list = []  # of the epoch's steps
        self.last, self.lowest = 0.0, math.inf  # the last epoch's loss, and the lowest one of validation

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        if not isinstance(outputs, dict):
            return
        if "losses" in outputs:  # one per mini-batch of the step
            self.losses.append(outputs["losses"])
            if _anywhere(trainer, not torch.isfinite(outputs["losses"]).all()):
                trainer.should_stop = True  # closes the epoch: its metrics are recorded
        elif "loss" in outputs:
            self.losses.append(outputs["loss"].detach().reshape(1))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        kept, self.losses = self.losses, []
        losses = torch.cat([loss.to(pl_module.device) for loss in kept]) if kept else torch.zeros(1)
        metrics = trainer.callback_metrics
        loss = float(losses.mean())
        if isinstance(pl_module, Model) or loss == 0.0:  # another module may log its loss after this
            loss = float(metrics.get(logged_as(TRAIN_LOSS, metrics), loss))
        val_name = logged_as(VAL_LOSS, metrics)
        val_loss = float(metrics.get(val_name, math.inf))
        if self.first is None and math.isfinite(loss):
            self.first = max(loss, constant_loss(trainer.datamodule, pl_module))
        found = math.inf if _anywhere(trainer, not torch.isfinite(losses).all()) else loss
        now = trainer.current_epoch + 1, trainer.global_step
        step = now[1] - len(losses) + int(first_infinite(losses)) + 1
        self.diverged = why_diverged(found, val_loss if val_name else None, self.first, now=now, step=step)
        if self.diverged:
            trainer.should_stop = True
        self.last, self.lowest = loss, min(self.lowest, val_loss)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.diverged = self.diverged or far_off(self.last, self.lowest, constant_loss(trainer.datamodule, pl_module))

    def state_dict(self) -> dict:
        kept = {"diverged": self.diverged, "first": self.first, "losses": self.losses}
        return {**kept, "last": self.last, "lowest": self.lowest}

    def load_state_dict(self, state_dict: dict) -> None:
        self.diverged, self.first, self.losses = state_dict["diverged"], state_dict["first"], state_dict["losses"]
        self.last, self.lowest = state_dict["last"], state_dict["lowest"]


def _anywhere(trainer: pl.Trainer, found: bool) -> bool:
    """Whether any process has found it: all must stop together."""
    return trainer.strategy.reduce_boolean_decision(bool(found), all=False)


def first_infinite(losses: torch.Tensor) -> torch.Tensor:
    """Return the place (...) of the first loss that is not finite of (steps, ...), 0 where all are."""
    return losses.isfinite().long().argmin(0)


def why_diverged(
    loss: float, val_loss: float | None, first: float | None, *, now: tuple[int, int], step: int
) -> str | None:
    """Return why an epoch's losses say that a run has diverged, or None.

    Args:
        loss: the epoch's training loss; not finite where that of a step was not.
        val_loss: that of validation, or None.
        first: the first epoch's, or what is plausible; None if it was not finite.
        now: the epoch, from 1, and the step that have ended.
        step: the first one whose loss was not finite, if there is any.
    """
    epoch, last = now
    if not math.isfinite(loss):
        return f"a loss that is not finite in epoch {epoch}, step {step}"
    if val_loss is not None and not math.isfinite(val_loss):
        return f"a validation loss that is not finite in epoch {epoch}"
    if first and loss > DIVERGED * first:
        return f"train/loss {loss:.4g} in epoch {epoch}, step {last}, over {DIVERGED:g} times {first:.4g}"
    return None


def far_off(last: float, lowest: float, constant: float) -> str | None:
    """Why a run that has come to its end has diverged all the same: it is far worse than a constant answer.

    Args:
        last: the last epoch's training loss.
        lowest: of all epochs' validation losses; infinite where there are none.
        constant: loss of the best constant predictor; 0 where there is none to compare with.
    """
    most = DIVERGED * max(constant, 0.01)  # that of a target which is nearly constant itself is near 0
    for name, loss in (("train/loss", last), ("val/loss", lowest)):
        if constant > 0 and most < loss < math.inf:
            return f"{name} {loss:.4g} at the end, over {most:.4g}: far worse than a constant answer"
    return None


def constant_loss(data: pl.LightningDataModule, model: pl.LightningModule) -> float:
    """Of the best predictor that ignores its input; 0 for data or a model that is not ours.

    And 0 for the perceptron's loss, which has no scale of its own: it grows with the weights.
    """
    ours = isinstance(data, Data) and isinstance(model, Model)
    if not ours or model.loss in (losses.perceptron, losses.class_perceptron):
        return 0.0
    y = data.samples["train"][1]
    return model.loss(model.task.constant_logits(y).expand(len(y), -1), y).item()
