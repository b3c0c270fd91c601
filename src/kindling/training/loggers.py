"""Loggers that a resumed run rewinds: to where they were when its checkpoint was written."""

import os
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams


class Rewinds(ABC):
    """A logger whose constructor takes back what `mark` returned, as its argument of that name."""

    @abstractmethod
    def mark(self) -> object:
        """Return, as plain data for a checkpoint, how far the logger's files have come."""


class TensorBoard(Rewinds, TensorBoardLogger):
    """Lightning's logger, with one Summary an epoch, and hyperparameters that TensorBoard shows over a folder of runs.

    Lightning and SummaryWriter.add_hparams also write an "experiment" summary; TensorBoard then takes the columns of
    its HPARAMS tab from a single run. With session start and end alone it shows the union of all.

    Args:
        save_dir: folder of the event files.
        mark: of a resumed run, the length in bytes of each event file when the checkpoint was written. What came later
            is cut off, because it is written again; TensorBoard's `purge_step` works for one unit of steps only, and
            not in all of its readers.
    """

    def __init__(self, save_dir: str, mark: dict[str, int] | None = None):
        super().__init__(save_dir, name="", version="", default_hp_metric=False)
        self.session_end = None
        for file in self._files() if mark is not None else ():
            if file.name in mark:
                os.truncate(file, min(mark[file.name], file.stat().st_size))
            else:
                file.unlink()

    def mark(self) -> dict[str, int]:
        self.experiment.flush()
        return {file.name: file.stat().st_size for file in self._files()}

    def _files(self) -> list[Path]:
        return sorted(Path(self.log_dir).glob("events.out.tfevents.*"))

    @rank_zero_only
    def log_metrics(self, metrics: dict, step: int | None = None) -> None:
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self.experiment.file_writer.add_summary(Summary(value=values), step)

    @rank_zero_only
    def log_hyperparams(self, params: dict, metrics: dict | None = None, step: int | None = None) -> None:
        """The first call writes; Lightning calls again with a model's own."""
        if self.session_end is None:
            plain_params = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in params.items()}
            _, start, self.session_end = hparams(plain_params, {})
            self.experiment.file_writer.add_summary(start)

    def end_session(self) -> None:
        """Marks the run as ended in the HPARAMS tab; its metrics are all scalars with their last value."""
        if self.session_end is not None:
            self.experiment.file_writer.add_summary(self.session_end)
        self.experiment.close()

    def finalize(self, status: str) -> None:
        """Only flushes: Lightning calls this after fit, and the test's records come later; `end_session` closes."""
        self.experiment.flush()

    def save(self) -> None:
        """No hparams.yaml: the run's folder has `.hydra/`."""


class CSV(Rewinds, CSVLogger):
    """Lightning's CSVLogger, whose file also has the epochs before a run was resumed.

    Args:
        save_dir, name, version: as of CSVLogger.
        mark: of a resumed run, all rows that were logged up to the checkpoint.
    """

    def __init__(self, save_dir: str, name: str = "csv", version: str = "", mark: list[dict] | None = None):
        super().__init__(save_dir, name=name, version=version)
        self.logged: list[dict] = []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
            for row in mark or ():
                self.log_metrics(row["metrics"], row["step"])
            if mark:
                self.save()

    @rank_zero_only
    def log_metrics(self, metrics: dict, step: int | None = None) -> None:
        plain = {name: float(value) for name, value in metrics.items()}
        self.logged.append({"metrics": plain, "step": step})
        super().log_metrics(plain, step)

    def mark(self) -> list[dict]:
        return self.logged


def log_text(loggers: list[Logger], tag: str, text: str, step: int = 0) -> None:
    """Markdown to the loggers that take text."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(tag, text, step)
        elif hasattr(logger, "log_text"):  # Weights & Biases, Comet: (key, columns, data)
            logger.log_text(tag, columns=["text"], data=[[text]], step=step)
