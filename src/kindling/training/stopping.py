"""When to stop early: no better for a while, or diverged."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from kindling import UserError
from kindling.cli.monitor import logged_as
from kindling.data.base import Data


class Patience(EarlyStopping):
    """Lightning's early stopping, refused where there is nothing to watch.

    Args:
        patience: validations in a row without a better value.
    """

    supports_multi_step = True

    def __init__(self, patience: int, monitor: str = "val/loss", mode: str = "min"):
        # Not strict: BestAndLast refuses a value that was not logged, and says what was.
        super().__init__(monitor, patience=patience, mode=mode, check_finite=False, strict=False)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and not trainer.enable_validation:
            raise UserError(f"patience={self.patience} counts validations, and this run has none: leave it out.")
        if isinstance(trainer.datamodule, Data) and not trainer.datamodule.number_of("val"):
            raise UserError(
                f"patience={self.patience} watches {self.monitor}, and this data has no validation rows: "
                "leave patience out, or set data.val_share above 0."
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.monitor = logged_as(self.monitor, trainer.callback_metrics) or self.monitor
        super().on_validation_end(trainer, pl_module)


def early_stopping(patience: int | None, monitor: str, mode: str) -> Patience | None:
    """For conf/config.yaml: none with patience=null."""
    return None if patience is None else Patience(patience, monitor, mode)


class LastStep(pl.Callback):
    """Ends training after so many optimizer steps, in the middle of an epoch too.

    Trainer(max_steps=...) would leave that epoch without validation, and could not be resumed at an epoch's end.
    """

    def __init__(self, max_steps: int):
        self.max_steps = max_steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_) -> None:
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True  # validates and closes the epoch


def last_step(max_steps: int) -> LastStep | None:
    """For conf/config.yaml: none with max_steps=-1."""
    return None if max_steps == -1 else LastStep(max_steps)
