"""A line of progress that is redrawn."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch

from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS, logged_as


class ProgressLine(pl.Callback):
    """Prints epoch, losses and seconds to stderr: 10 times a second in place, or every 10 s if it is not a terminal.

    Args:
        monitor: the value shown next to the losses.
    """

    supports_multi_step = True

    def __init__(self, monitor: str = "val/loss"):
        self.monitor = monitor
        self.terminal = sys.stderr.isatty()
        self.pause = 0.1 if self.terminal else 10.0  # s
        self.started = self.drawn = time.monotonic()
        self.line = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = self.drawn = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch and time.monotonic() - self.drawn > self.pause:
            self._draw(trainer, (batch_idx + 1) / trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if time.monotonic() - self.drawn > self.pause:
            self._draw(trainer, 1.0)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # current_epoch already includes the last epoch.
        self._draw(trainer, 0.0)
        if self.terminal and trainer.is_global_zero:
            print(file=sys.stderr)

    def _draw(self, trainer: pl.Trainer, fraction: float) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        names = [logged_as(name, metrics) for name in (TRAIN_LOSS, VAL_LOSS, "val/accuracy", self.monitor)]
        # The mean if several models are trained together.
        values = {name: torch.as_tensor(metrics[name]).float().nanmean() for name in names if name}
        text = "".join(f"  {name} {value:.4g}" for name, value in values.items())
        epochs = trainer.current_epoch + fraction
        total = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self.drawn = time.monotonic()
        epoch = f"{epochs:g}" if fraction in (0.0, 1.0) else f"{epochs:.1f}"
        line = f"epoch {epoch}{total}{text}  {self.drawn - self.started:.1f} s"
        end = "" if self.terminal else "\n"
        print(("\r" if self.terminal else "") + line.ljust(len(self.line)), end=end, file=sys.stderr, flush=True)
        self.line = line
