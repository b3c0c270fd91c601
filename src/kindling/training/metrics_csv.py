"""Recording of each epoch's metrics, in metrics.csv and with every logger."""

import csv
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from kindling.cli.folders.damaged import Damaged
from kindling.data.base import Data
from kindling.data.split import split_table
from kindling.data.trainer_parts import datamodule_of
from kindling.files import LAST, write_atomically
from kindling.models.base import Model
from kindling.training.checkpoint import best_of
from kindling.training.loggers import Rewindable
from kindling.training.metrics_file import read_epochs, write_metrics

log = logging.getLogger("kindling")


class Records(pl.Callback):
    """Writes every epoch's metrics as a row of metrics.csv and to the loggers, with the epoch (from 1) as step.

    For a table, split.csv has the stage of each of its rows.

    Values that a LightningModule logs with `self.log` have Lightning's own steps. The checkpoint contains all rows and
    the positions in the loggers' files, from which a resumed run rewrites metrics.csv and continues.

    Args:
        folder: the run's folder.
    """

    supports_multi_step = True

    def __init__(self, folder: str):
        self.path = Path(folder) / "metrics.csv"
        self.columns: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.ended: dict[str, Any] | None = None  # the epoch that has ended but is not written yet
        self.seen: dict[str, Any] = {}  # callback_metrics at the time of the last row
        self.writes_lr: bool | None = None  # False if the module logs it
        self.lr: float | None = None  # of the last step, if a scheduler changes it
        self.loggers: list[Logger] = []
        self.seconds, self.started = 0.0, time.monotonic()
        self.file: TextIO | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.loggers = trainer.loggers if trainer.is_global_zero else []
        if self.rows and trainer.is_global_zero:  # resumed
            try:
                read_epochs(self.path)
            except Damaged as error:
                log.warning(f"{self.path} ({error.why}) was restored from {LAST.name}")
            self._rewrite()
        data = datamodule_of(trainer)
        if isinstance(data, Data) and data.examples.columns and trainer.is_global_zero:
            write_atomically(self.path.parent / "split.csv", split_table(data.indices, data.examples))

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.lr_scheduler_configs:  # Lightning steps them before the epoch ends
            self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lr = trainer.optimizers[0].param_groups[0]["lr"] if self.lr is None and trainer.optimizers else self.lr
        self.ended = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "lr": lr}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch that has ended; not at its end, because the module may still log in on_train_epoch_end."""
        ended, self.ended = self.ended, None
        if not ended:
            return
        current, logged_by_module = dict(trainer.callback_metrics), trainer.logged_metrics
        # Values of earlier epochs are still in it, as the same objects.
        metrics = plain({name: value for name, value in current.items() if value is not self.seen.get(name)})
        self.seen = current
        if self.writes_lr is None:
            self.writes_lr = bool(trainer.optimizers) and "lr" not in metrics
        lr = {"lr": ended["lr"]} if self.writes_lr else {}
        if not trainer.is_global_zero:
            return
        row = {"epoch": ended["epoch"], "step": ended["step"], **metrics, **lr}
        self.rows.append(row)
        if self.file is None or row.keys() - set(self.columns):
            self.columns = list(dict.fromkeys([*self.columns, *row]))
            self._rewrite()
        else:
            csv.DictWriter(self.file, self.columns).writerow(row)
            self.file.flush()
        if isinstance(pl_module, Model):
            own = {name: value for name, value in metrics.items() if name not in logged_by_module}
            self._log(own | lr, ended["epoch"])
        elif lr:
            self._log(lr, ended["step"] - 1)  # the step of the epoch values that Lightning logs

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and isinstance(pl_module, Model):
            metrics = {k: v for k, v in plain(trainer.callback_metrics).items() if k not in trainer.logged_metrics}
            self._log(metrics, best_of(trainer).get("epoch", 0))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.file:
            self.file.close()

    def state_dict(self) -> dict[str, Any]:
        marks = {type(logger).__name__: logger.mark() for logger in self.loggers if isinstance(logger, Rewindable)}
        return {
            "columns": self.columns,
            "rows": self.rows,
            "marks": marks,
            "seconds": self.seconds + time.monotonic() - self.started,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.columns, self.rows, self.seconds = (state_dict[name] for name in ("columns", "rows", "seconds"))

    def _rewrite(self) -> None:
        """Rewrite the whole file atomically, and open it for appending."""
        if self.file:
            self.file.close()
        write_metrics(self.path, self.columns, self.rows)
        self.file = self.path.open("a", newline="", encoding="utf-8")

    def _log(self, metrics: dict[str, float], step: int) -> None:
        for logger in self.loggers:
            logger.log_metrics(metrics, step)


def plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert tensors to floats, synchronizing with the device only once."""
    if not metrics:
        return {}
    values = torch.stack([torch.as_tensor(value).cpu().double() for value in metrics.values()])
    return dict(zip(metrics, values.tolist(), strict=True))
