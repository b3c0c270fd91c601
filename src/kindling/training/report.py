"""What is printed at the end of a run."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from kindling.data.base import Data
from kindling.files import LAST, display_path
from kindling.models.base import Model
from kindling.training.result import loss_note, table


def metric_lines(
    metrics: dict[str, Any], best_epoch: int, model: pl.LightningModule | None, data: pl.LightningDataModule | None
) -> list[str]:
    """Return the table of metrics, and what must be known to read it."""
    if not metrics:
        return []
    lines = [table(metrics, best_epoch)]
    if isinstance(model, Model) and (note := loss_note(metrics, model.target_std)):
        lines.append(note)
    if isinstance(data, Data) and data.weights:
        lines.append("train and val loss are weighted; the test loss and all other metrics are not")
    return lines


def ending_lines(result: dict[str, Any], folder: Path) -> list[str]:
    """Return why a run that is not finished has ended, and how to resume it."""
    if result["status"] == "finished":
        return []
    state = "the last state was saved" if (folder / LAST).exists() else "before the first checkpoint"
    lines = [f"{result['status']}: {result.get('diverged') or result.get('error') or state}"]
    if result["status"] == "interrupted":
        lines.append(f"resume   python train.py resume={display_path(folder)}")
    return lines
