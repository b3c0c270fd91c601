"""Compute and log the confusion matrix: text for every epoch, a figure and a CSV for the best epoch and the test."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from kindling.models.base import Model
from kindling.plots.confusion_matrix import draw, markdown, text
from kindling.plots.save import log_figure
from kindling.training.checkpoint import best_of
from kindling.training.loggers import log_text
from kindling.training.monitored import validated
from kindling.training.result import write_counts
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")


class ConfusionMatrix(pl.Callback):
    """Writes confusion matrices over all samples of an epoch; rows are true classes, columns are predicted classes.

    Args:
        folder: the run's folder, for the matrices of the best weights.
    """

    supports_multi_step = True

    def __init__(self, folder: str):
        self.folder, self.text_failed = Path(folder), False
        self.last: dict[str, Any] = {}  # epoch, stage and counts (C, C) of the last epoch, and of the best one
        self.best: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, Model):
            log.info("no confusion matrix: it requires a subclass of kindling.models.base.Model")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._keep_best(trainer)
        stage = "val" if any(trainer.num_val_batches) else "train"
        counts = _counts(pl_module, stage)
        if counts is None or (stage == "val" and not validated(trainer)):
            return
        self.last = {"epoch": trainer.current_epoch + 1, "stage": stage, "counts": counts}
        if not self.text_failed:
            self.text_failed = True
            with optional("confusion matrix of every epoch"):
                table = markdown(counts.tolist(), _names(pl_module, counts))
                log_text(trainer.loggers, f"confusion/{stage}", table, step=self.last["epoch"])
                self.text_failed = False

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._keep_best(trainer)
        if self.best and trainer.is_global_zero:
            epoch, stage, counts = self.best.values()
            with optional(f"confusion matrix of the {stage} samples"):
                names, title = _names(pl_module, counts), f"{stage} samples, best epoch ({epoch})"
                write_counts(self.folder / f"confusion_matrix_{stage}.csv", counts.tolist(), names)
                figure = draw(counts.tolist(), names, title)
                log_figure(trainer.loggers, f"confusion/{stage}", figure, step=epoch)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        counts = _counts(pl_module, "test")
        if counts is None or not trainer.is_global_zero:
            return
        with optional("confusion matrix of the test samples"):
            names, table = _names(pl_module, counts), counts.tolist()
            log.info(text(table, names))
            write_counts(self.folder / "confusion_matrix.csv", table, names)
            epoch = best_of(trainer).get("epoch", 0)  # the epoch of the tested weights
            figure = draw(table, names, "test samples, best weights")
            log_figure(trainer.loggers, "confusion/test", figure, step=epoch, file=self.folder / "confusion_matrix.png")

    def state_dict(self) -> dict:
        return {"last": self.last, "best": self.best}

    def load_state_dict(self, state_dict: dict) -> None:
        self.last, self.best = state_dict["last"], state_dict["best"]

    def _keep_best(self, trainer: pl.Trainer) -> None:
        if self.last and self.last["epoch"] == best_of(trainer).get("epoch"):
            self.best = self.last


def _counts(model: pl.LightningModule, stage: str) -> Tensor | None:
    return model.task.confusion(*model.outputs[stage]) if isinstance(model, Model) and stage in model.outputs else None


def _names(model: pl.LightningModule, counts: Tensor) -> list[str]:
    """Return the class names or, if the model was built without any, the classes' indices."""
    return list(model.hparams.get("class_names") or map(str, range(len(counts))))
