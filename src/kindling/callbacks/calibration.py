"""Calibrated probabilities, `calibrate=true`: the logits are divided by a temperature (Guo et al. 2017)."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from kindling import UserError
from kindling.data.base import Data
from kindling.data.loader import Pixels
from kindling.data.trainer_parts import datamodule_of
from kindling.models.base import Model
from kindling.models.capture import for_model
from kindling.models.probabilities import divide_logits
from kindling.tasks.losses import bce, cross_entropy
from kindling.tasks.tasks import Loss
from kindling.training.checkpoint import best_of
from kindling.training.summary import Summary

LOWEST, HIGHEST = 0.01, 100.0  # temperature
BATCH = 4096


class Calibration(pl.Callback, Summary):
    """Fits a temperature to the validation logits of the best weights when training ends, and tests with it.

    The temperature is stored in the checkpoints, and everything that predicts from them uses it. It minimizes the log
    loss as a mean over samples of equal weight, even if training weights them (data.balance, data.weight), so that the
    probabilities fit the frequencies in the data. The predicted classes stay the same.

    Raises:
        UserError: the task or the loss has no log loss, or there are no validation samples.
    """

    supports_multi_step = True

    def __init__(self) -> None:
        self.temperature: float | None = None  # this and the next two are set when training ends
        self.before, self.after = 0.0, 0.0  # log loss of the validation samples
        self.hook: RemovableHandle | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            check(pl_module, datamodule_of(trainer))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._divide(pl_module)  # in a run that is resumed after its last epoch

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.temperature = None  # that of a resumed run, whose best weights may change
        self._remove_hook()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        best, data = best_of(trainer), datamodule_of(trainer)
        if not best or not isinstance(pl_module, Model) or not isinstance(data, Data):
            return
        logits, y = validation_logits(pl_module, best["weights"], data)
        temperature = fit_temperature(logits, y, pl_module.loss)
        self.temperature = temperature
        self.before, self.after = (pl_module.loss(logits / t, y).item() for t in (1.0, temperature))
        self._divide(pl_module)  # for the pictures that are drawn next

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._divide(pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._remove_hook()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.temperature is not None:
            checkpoint["temperature"] = self.temperature

    def state_dict(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "before": self.before, "after": self.after}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.temperature = state_dict["temperature"]
        self.before, self.after = state_dict["before"], state_dict["after"]

    def summary(self, command: str, cfg: object) -> dict[str, list[str]]:
        """Return the temperature and its effect for result.json and the console."""
        if self.temperature is None:
            return {}
        line = f"temperature {self.temperature:.3g}: validation loss {self.before:.4g} -> {self.after:.4g}"
        if self.temperature == 1 and self.before == self.after:
            line = "temperature 1: any lower one decreases the loss of these validation samples, so none was fitted"
        return {"calibrate": [line]}

    def _remove_hook(self) -> None:
        if self.hook:
            self.hook.remove()
            self.hook = None

    def _divide(self, model: pl.LightningModule) -> None:
        if self.temperature is not None and self.hook is None:
            self.hook = divide_logits(model, self.temperature)


def calibration(calibrate: bool) -> Calibration | None:
    """Return the callback, or None with calibrate=false; called by conf/config.yaml."""
    return Calibration() if calibrate else None


def check(model: pl.LightningModule, data: pl.LightningDataModule | None) -> None:
    """Check that a temperature can be fitted.

    Raises:
        UserError: it cannot.
    """
    if not isinstance(model, Model) or not isinstance(data, Data):
        other = data if isinstance(model, Model) else model
        raise UserError(
            f"calibrate=true needs subclasses of Kindling's Model and Data, and {type(other).__name__} is none: "
            "remove calibrate."
        )
    if model.task.name == "regression":
        raise UserError("calibrate=true needs classes, and this is a regression: remove calibrate.")
    if model.loss not in (bce, cross_entropy):
        default = "cross_entropy" if model.task.name == "multiclass" else "bce"
        raise UserError(
            f"calibrate=true needs loss={default}, because other losses do not train probabilities: use it, or remove "
            "calibrate."
        )
    if not data.number_of("val"):
        raise UserError(
            "calibrate=true needs validation samples, and there are none: set data.val_share, or remove calibrate."
        )


def validation_logits(model: Model, weights: dict[str, Tensor], data: Data) -> tuple[Tensor, Tensor]:
    """Return the logits of all validation samples with other weights, and their targets, in float64 on the CPU.

    With several processes, each one computes all of them, so that they get the same temperature.
    """
    x, y = data.samples["val"]
    convert = (lambda part: part) if x.is_floating_point() else Pixels(data.transform)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            inputs = (for_model(model, convert(part)) for part in x.split(BATCH))
            logits = torch.cat([functional_call(model, weights, (part,)).cpu().double() for part in inputs])
    finally:
        model.train(training)
    return logits, y.cpu().double() if y.is_floating_point() else y.cpu()


def fit_temperature(logits: Tensor, y: Tensor, loss: Loss) -> float:
    """Return the temperature from LOWEST to HIGHEST at which the log loss is lowest.

    The loss is convex in the inverse temperature, so that the sign of its derivative says on which side the minimum is.
    If even LOWEST is too high, which means that all samples are classified correctly, the result is 1: infinitely large
    logits would be best for them, but not for others.
    """

    def slope(temperature: float) -> float:
        inverse = torch.tensor(1 / temperature, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(loss(logits * inverse, y), inverse)
        return found.item()

    if slope(LOWEST) <= 0:
        return 1.0
    low, high = LOWEST, HIGHEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) <= 0 else (middle, high)
    return (low * high) ** 0.5
