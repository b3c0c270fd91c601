"""Loggers that a resumed run rewinds to their state at the time of the checkpoint."""

import logging
import os
import warnings
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

log = logging.getLogger("kindling")


class Rewindable(ABC):
    """A logger whose constructor has an argument `mark`, to which it is rewound."""

    @abstractmethod
    def mark(self) -> object:
        """Return the current position in the logger's files, as plain data for a checkpoint."""


class TensorBoard(Rewindable, TensorBoardLogger):
    """Lightning's logger, with one Summary per epoch, and hyperparameters that can be compared across runs.

    Lightning and SummaryWriter.add_hparams also write an "experiment" summary, for which TensorBoard takes the columns
    of its HPARAMS tab from a single run. With only session start and end it shows the union over all runs.

    Args:
        save_dir: folder of the event files.
        mark: for a resumed run, the length in bytes of each event file at the time of the checkpoint. Later content is
            truncated, because it is written again; TensorBoard's `purge_step` supports only one unit of steps, and not
            in all of its readers.
    """

    def __init__(self, save_dir: str, mark: dict[str, int] | None = None):
        super().__init__(save_dir, name="", version="", default_hp_metric=False)
        self.session_end: Summary | None = None
        if mark is not None:
            self._rewind(mark)

    def mark(self) -> dict[str, int]:
        self.experiment.flush()
        return {file.name: file.stat().st_size for file in self._files()}

    def _rewind(self, mark: dict[str, int]) -> None:
        for name, size in mark.items():
            file = Path(self.log_dir) / name
            left = file.stat().st_size if file.exists() else 0
            if left < size:
                log.warning(f"{file}: {left:,} of {size:,} bytes are left, so TensorBoard shows fewer records of it")
        for file in self._files():
            if file.name in mark:
                os.truncate(file, min(mark[file.name], file.stat().st_size))
            else:
                file.unlink()

    def _files(self) -> list[Path]:
        return sorted(Path(self.log_dir).glob("events.out.tfevents.*"))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self.experiment.file_writer.add_summary(Summary(value=values), step)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: dict[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Write the hyperparameters at the first call; Lightning calls it again with the model's own."""
        if self.session_end is None:
            values = vars(params) if isinstance(params, Namespace) else params
            plain_params = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in values.items()}
            _, start, self.session_end = hparams(plain_params, {})
            self.experiment.file_writer.add_summary(start)

    def end_session(self) -> None:
        """Mark the run as ended in the HPARAMS tab, whose metrics are the last values of all scalars."""
        if self.session_end is not None:
            self.experiment.file_writer.add_summary(self.session_end)
        self.experiment.close()

    def finalize(self, status: str) -> None:
        """Flush only, because Lightning calls this after fit, before the test metrics; `end_session` closes."""
        self.experiment.flush()

    def save(self) -> None:
        """Do nothing: hparams.yaml is not needed because the run's folder has `.hydra/`."""


class CSV(Rewindable, CSVLogger):
    """Lightning's CSVLogger; its file keeps the epochs before a run was resumed.

    Args:
        save_dir: see CSVLogger.
        name: see CSVLogger.
        version: see CSVLogger.
        mark: for a resumed run, all rows that were logged up to the checkpoint.
    """

    def __init__(self, save_dir: str, name: str = "csv", version: str = "", mark: list[dict[str, Any]] | None = None):
        super().__init__(save_dir, name=name, version=version)
        self.logged: list[dict[str, Any]] = []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
            for row in mark or ():
                self.log_metrics(row["metrics"], row["step"])
            if mark:
                self.save()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Tensor | float], step: int | None = None) -> None:
        plain: dict[str, Tensor | float] = {name: float(value) for name, value in metrics.items()}
        self.logged.append({"metrics": plain, "step": step})
        super().log_metrics(plain, step)

    def mark(self) -> list[dict[str, Any]]:
        return self.logged


def position(target: str, marks: dict[str, object] | None) -> dict[str, object]:
    """Return the argument with which a Rewindable logger of a resumed run continues; empty for all others.

    Args:
        target: the logger's `_target_`.
        marks: class name -> its position at the time of the checkpoint; None for a new run.
    """
    logger = get_object(target)
    if marks is None or not isinstance(logger, type) or not issubclass(logger, Rewindable):
        return {}
    return {"mark": marks.get(logger.__name__, {})}


def finish(logger: Logger, best: dict[str, float], best_epoch: int | None, success: bool) -> None:
    """Log the best epoch's metrics, and close the logger."""
    if best:
        logger.log_metrics(best, best_epoch)
    logger.finalize("success" if success else "failed")
    if isinstance(logger, TensorBoard):
        logger.end_session()


def log_text(loggers: list[Logger], tag: str, text: str, step: int = 0) -> None:
    """Log Markdown to the loggers that accept text."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(tag, text, step)
        elif hasattr(logger, "log_text"):  # Weights & Biases, Comet: (key, columns, data)
            logger.log_text(tag, columns=["text"], data=[[text]], step=step)
