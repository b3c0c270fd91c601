"""The confusion matrix, as text every epoch, as a figure for the best epoch and the test rows, as CSV.

Delete this file, its test and its line in conf/config.yaml, and everything else runs on.
"""

import logging
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from kindling.models.base import Model
from kindling.plots.style import markdown_table, plain, shortened
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


def text(counts: list[list[int]], names: list[str]) -> str:
    """Counts as a table for the console."""
    names = [shortened(" ".join(name.split()), 24) for name in names]
    width = max(len(str(word)) for word in [*names, *(n for row in counts for n in row)]) + 2
    left = max(len(name) for name in names)
    rows = [" " * left + "".join(name.rjust(width) for name in names)]
    rows += [
        name.ljust(left) + "".join(str(n).rjust(width) for n in row) for name, row in zip(names, counts, strict=True)
    ]
    return "confusion matrix of the test rows (rows true, columns predicted)\n  " + "\n  ".join(rows)


def markdown(counts: list[list[int]], names: list[str]) -> str:
    """Counts as a table for TensorBoard's Text tab."""
    return markdown_table([["true / predicted", *names], *([n, *row] for n, row in zip(names, counts, strict=True))])


def draw(counts: list[list[int]] | Tensor, names: list[str], title: str):
    """A matplotlib Figure: colour and percentage are shares of the row, the number is the count."""
    from matplotlib.figure import Figure  # 0.5 s, so not before training

    names = [plain(name, 30) for name in names]
    # Inches, by hand: matplotlib's own layouts would take a third of the time.
    cell, label = (1.4 if len(names) < 4 else 0.65), 0.09 * max(map(len, names))
    side, left, bottom, top = cell * len(names), 0.6 + label, (0.6 if label < 0.8 * cell else 0.6 + label), 0.35
    width, height = side + left + 0.15, side + bottom + top
    figure = Figure(figsize=(width, height), dpi=100)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            colour = "white" if shares[i][j] > 0.5 else "black"
            axes.text(j, i, f"{n}\n{shares[i][j]:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=0 if label < 0.8 * cell else 90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=11)
    return figure


def _names(model: Model, counts: Tensor) -> list[str]:
    """Return the classes' names, which a model that was built by hand may lack."""
    return list(model.hparams.get("class_names") or map(str, range(len(counts))))


def _watched(counts: dict[str, Tensor]) -> tuple[str, Tensor | None]:
    """The counts of the validation rows, or of the training rows where there are none to validate on."""
    stage = "val" if "val" in counts else "train"
    return stage, counts.get(stage)
