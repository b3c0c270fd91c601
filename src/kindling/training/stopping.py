"""Early stopping, and stopping after a number of steps."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from kindling import UserError
from kindling.cli.monitor import logged_as
from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of


class Patience(EarlyStopping):
    """Lightning's early stopping, with an error if there is nothing to monitor.

    Args:
        patience: number of consecutive validations without improvement.
        monitor: the name of the monitored value.
        mode: "min" or "max".
    """

    supports_multi_step = True

    def __init__(self, patience: int, monitor: str = "val/loss", mode: str = "min"):
        # Not strict, because BestAndLast has a better message for a value that was not logged.
        super().__init__(monitor, patience=patience, mode=mode, check_finite=False, strict=False)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and not trainer.enable_validation:
            raise UserError(f"patience={self.patience} counts validations, but this run has none: remove patience.")
        data = datamodule_of(trainer)
        if isinstance(data, Data) and not data.number_of("val"):
            raise UserError(
                f"patience={self.patience} needs {self.monitor}, but this data has no validation samples: "
                "remove patience, or set data.val_share above 0."
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.monitor = logged_as(self.monitor, trainer.callback_metrics) or self.monitor
        super().on_validation_end(trainer, pl_module)


def early_stopping(patience: int | None, monitor: str, mode: str) -> Patience | None:
    """Return the callback for conf/config.yaml, or None if patience=null."""
    return None if patience is None else Patience(patience, monitor, mode)


class LastStep(pl.Callback):
    """Ends training after `max_steps` optimizer steps, even in the middle of an epoch.

    Trainer(max_steps=...) would not validate that epoch, and could not be resumed at the end of an epoch.
    """

    def __init__(self, max_steps: int):
        self.max_steps = max_steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True  # validates and ends the epoch


def last_step(max_steps: int) -> LastStep | None:
    """Return the callback for conf/config.yaml, or None if max_steps=-1."""
    return None if max_steps == -1 else LastStep(max_steps)
