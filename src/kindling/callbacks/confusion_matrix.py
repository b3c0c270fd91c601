"""The confusion matrix, as text every epoch, as a figure for the best epoch and the test rows, as CSV."""

import logging
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from kindling.models.base import Model
from kindling.plots.confusion_matrix import draw, markdown, text
from kindling.training.checkpoint import best_of
from kindling.training.metrics_csv import AfterEpoch, log_figure, log_text
from kindling.training.optional import optional
from kindling.training.result import write_counts

log = logging.getLogger("kindling")


class ConfusionMatrix(AfterEpoch):
    """Rows are true classes, columns predicted ones. The counts are the model's, over all rows of the epoch.

    Args:
        folder: the run's; the matrices of the best weights are written there.
    """

    takes_chunks = True

    def __init__(self, folder: str):
        self.folder, self.text_failed = Path(folder), False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not isinstance(pl_module, Model):
            log.info("no confusion matrix: only a kindling.models.base.Model counts which class was predicted as which")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stage, counts = _watched(getattr(pl_module, "counts", {}))
        if counts is not None and not self.text_failed:
            self.text_failed = True
            with optional("confusion matrix of every epoch"):
                table = markdown(counts.tolist(), _names(pl_module, counts))
                log_text(trainer.loggers, f"confusion/{stage}", table, trainer.current_epoch + 1)
                self.text_failed = False

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        best = best_of(trainer)
        stage, counts = _watched(best.get("counts", {}))
        if counts is not None and trainer.is_global_zero:
            with optional(f"confusion matrix of the {stage} samples"):
                names, title = _names(pl_module, counts), f"{stage} samples, best epoch ({best['epoch']})"
                write_counts(self.folder / f"confusion_matrix_{stage}.csv", counts.tolist(), names)
                figure = draw(counts.tolist(), names, title)
                log_figure(trainer.loggers, f"confusion/{stage}", figure, best["epoch"])

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        counts = getattr(pl_module, "counts", {}).get("test")
        if counts is None or not trainer.is_global_zero:
            return
        with optional("confusion matrix of the test samples"):
            names, table = _names(pl_module, counts), counts.tolist()
            log.info(text(table, names))
            write_counts(self.folder / "confusion_matrix.csv", table, names)
            epoch = best_of(trainer).get("epoch", 0)  # whose weights these are
            figure = draw(table, names, "test samples, best weights")
            log_figure(trainer.loggers, "confusion/test", figure, epoch, self.folder / "confusion_matrix.png")


def _names(model: Model, counts: Tensor) -> list[str]:
    """Return the classes' names, which a model that was built by hand may lack."""
    return list(model.hparams.get("class_names") or map(str, range(len(counts))))


def _watched(counts: dict[str, Tensor]) -> tuple[str, Tensor | None]:
    """The counts of the validation rows, or of the training rows where there are none to validate on."""
    stage = "val" if "val" in counts else "train"
    return stage, counts.get(stage)
