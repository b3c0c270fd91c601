"""Detection of diverged runs."""

import math
from typing import Any

import pytorch_lightning as pl
import torch

from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS, logged_as
from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of
from kindling.models.base import Model
from kindling.tasks import losses
from kindling.tasks.losses import weighted

DIVERGED = 100.0  # well above the loss spikes that training recovers from


class Divergence(pl.Callback):
    """Stops a run whose loss is not finite or has grown beyond DIVERGED times a plausible value.

    The plausible value is the larger of the first epoch's loss and the best constant predictor's. At the end of the run
    it is only the latter, because with a learning rate of 1e9 even the first epoch's loss is huge.

    Attributes:
        diverged: where the run diverged and why, or None.
    """

    supports_multi_step = True

    def __init__(self) -> None:
        self.diverged: str | None = None
        self.first: float | None = None  # the first epoch's loss
        self.losses: list[torch.Tensor] = []  # of the epoch's steps
        self.last, self.lowest = 0.0, math.inf  # the last epoch's loss, and the lowest validation loss

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not isinstance(outputs, dict):
            return
        if "losses" in outputs:  # one per mini-batch of the step
            self.losses.append(outputs["losses"])
            if _in_any_process(trainer, not torch.isfinite(outputs["losses"]).all()):
                trainer.should_stop = True  # ends the epoch, so that its metrics are recorded
        elif "loss" in outputs:
            self.losses.append(outputs["loss"].detach().reshape(1))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        kept, self.losses = self.losses, []
        losses = torch.cat([loss.to(pl_module.device) for loss in kept]) if kept else torch.zeros(1)
        metrics = trainer.callback_metrics
        loss = float(losses.mean())
        if isinstance(pl_module, Model) or loss == 0.0:  # another module may log its loss after this
            loss = float(metrics[name]) if (name := logged_as(TRAIN_LOSS, metrics)) else loss
        val_name = logged_as(VAL_LOSS, metrics)
        val_loss = float(metrics[val_name]) if val_name else math.inf
        if self.first is None and math.isfinite(loss):
            self.first = max(loss, constant_loss(datamodule_of(trainer), pl_module))
        found = math.inf if _in_any_process(trainer, not torch.isfinite(losses).all()) else loss
        now = trainer.current_epoch + 1, trainer.global_step
        step = now[1] - len(losses) + int(first_infinite(losses)) + 1
        self.diverged = why_diverged(found, val_loss if val_name else None, self.first, now=now, step=step)
        if self.diverged:
            trainer.should_stop = True
        self.last, self.lowest = loss, min(self.lowest, val_loss)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        constant = constant_loss(datamodule_of(trainer), pl_module)
        self.diverged = self.diverged or why_too_high(self.last, self.lowest, constant)

    def state_dict(self) -> dict[str, Any]:
        return {
            "diverged": self.diverged,
            "first": self.first,
            "losses": self.losses,
            "last": self.last,
            "lowest": self.lowest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.diverged, self.first, self.losses = state_dict["diverged"], state_dict["first"], state_dict["losses"]
        self.last, self.lowest = state_dict["last"], state_dict["lowest"]


def _in_any_process(trainer: pl.Trainer, found: torch.Tensor | bool) -> bool:
    """Return whether a condition holds in any process, because all must stop together."""
    return trainer.strategy.reduce_boolean_decision(bool(found), all=False)


def first_infinite(losses: torch.Tensor) -> torch.Tensor:
    """Return the index (...) of the first non-finite loss of losses (steps, ...), or 0 if all are finite."""
    return losses.isfinite().long().argmin(0)


def why_diverged(
    loss: float, val_loss: float | None, first: float | None, *, now: tuple[int, int], step: int
) -> str | None:
    """Return why an epoch's losses mean that the run has diverged, or None.

    Args:
        loss: the epoch's training loss; not finite if that of a step was not.
        val_loss: the validation loss, or None.
        first: the first epoch's loss, or the plausible loss; None if it was not finite.
        now: the epoch (from 1) and the step that have ended.
        step: the first step whose loss was not finite, if there is any.
    """
    epoch, last = now
    if not math.isfinite(loss):
        return f"the training loss was not finite in epoch {epoch}, step {step}"
    if val_loss is not None and not math.isfinite(val_loss):
        return f"the validation loss was not finite in epoch {epoch}"
    if first and loss > DIVERGED * first:
        reference = f"the larger of the first epoch's loss and a constant prediction's ({first:.4g})"
        return f"train/loss {loss:.4g} in epoch {epoch}, step {last}: more than {DIVERGED:g} times {reference}"
    return None


def why_too_high(last: float, lowest: float, constant: float) -> str | None:
    """Return why a run that was not stopped has diverged: it is far worse than a constant prediction; or None.

    Args:
        last: the last epoch's training loss.
        lowest: the lowest validation loss; infinite if there is none.
        constant: loss of the best constant predictor; 0 if there is none.
    """
    plausible = max(constant, 0.01)  # the constant loss of a nearly constant target is near 0
    for name, loss in (("train/loss", last), ("val/loss", lowest)):
        if constant > 0 and DIVERGED * plausible < loss < math.inf:
            return (
                f"{name} {loss:.4g} at the end: more than {DIVERGED:g} times a constant prediction's ({plausible:.4g})"
            )
    return None


def constant_loss(data: pl.LightningDataModule | None, model: pl.LightningModule) -> float:
    """Return the loss of the best predictor that ignores its input.

    It is 0 for data or a model without Kindling's base class, and for the perceptron loss, which has no scale of its
    own because it grows with the weights.
    """
    if not isinstance(data, Data) or not isinstance(model, Model):
        return 0.0
    if model.loss in (losses.perceptron, losses.class_perceptron):
        return 0.0
    y, weights = data.samples["train"][1], data.weights.get("train")
    return weighted(model.loss, weights)(model.task.constant_logits(y, weights).expand(len(y), -1), y).item()
