"""What a run records: a row of metrics an epoch, in metrics.csv and in every logger."""

import csv
import io
import os
import struct
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams


class AfterEpoch(Checkpoint):
    """A callback whose `on_train_epoch_end` sees the epoch's metrics: Lightning calls Checkpoints after the model."""

    takes_chunks = True


class Records(AfterEpoch):
    """Writes every epoch's metrics as a row of metrics.csv and to the loggers, with the epoch (from 1) as step.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: str):
        self.path = Path(folder) / "metrics.csv"
        self.rows: list[dict] = []
        self.epoch = 0  # the last one recorded

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Of a resumed run, keep the rows up to the checkpoint: the epochs after it are trained and written again."""
        self.file = None
        if self.path.exists() and trainer.is_global_zero:
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["epoch"].isdigit() and None not in row.values()]
            self.rows = [row for row in rows if int(row["epoch"]) <= self.epoch]
            if self.rows:
                self._rewrite()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch = self.epoch = trainer.current_epoch + 1
        metrics = plain(trainer.callback_metrics)
        if trainer.optimizers:
            metrics["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": epoch, "step": trainer.global_step, **metrics}
        new_column = not self.rows or row.keys() - self.rows[0].keys()
        self.rows.append(row)
        if new_column:
            self._rewrite()
        else:
            self.writer.writerow(row)
            self.file.flush()
        logged_by_model = trainer.logged_metrics  # a LightningModule with self.log has Lightning's own way
        self._log(trainer, {name: value for name, value in metrics.items() if name not in logged_by_model}, epoch)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {k: v for k, v in plain(trainer.callback_metrics).items() if k not in trainer.logged_metrics}
        self._log(trainer, metrics, self.epoch)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and getattr(self, "file", None):
            self.file.close()

    def state_dict(self) -> dict:
        return {"epoch": self.epoch}

    def load_state_dict(self, state_dict: dict) -> None:
        self.epoch = state_dict["epoch"]

    def _rewrite(self) -> None:
        """The whole file anew, by renaming, and open to append; columns are all that any row has."""
        columns = list(dict.fromkeys(name for row in reversed(self.rows) for name in row))
        part = self.path.with_suffix(".csv.part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        if self.file:
            self.file.close()
        os.replace(part, self.path)
        self.rows[0] = dict.fromkeys(columns) | self.rows[0]
        self.file = self.path.open("a", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, columns)

    def _log(self, trainer: pl.Trainer, metrics: dict, step: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step)


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, with one Summary an epoch, and hyperparameters that TensorBoard shows over a folder of runs.

    Lightning and SummaryWriter.add_hparams also write an "experiment" summary; TensorBoard then takes the columns of
    its HPARAMS tab from a single run. With session start and end alone it shows the union of all.
    """

    def __init__(self, save_dir: str, purge_step: int | None = None):
        super().__init__(save_dir, name="", version="", default_hp_metric=False, purge_step=purge_step)
        self.session_end = None

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


def log_text(loggers: list[Logger], tag: str, text: str, step: int = 0) -> None:
    """Markdown to the loggers that take text."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(tag, text, step)
        elif hasattr(logger, "log_text"):  # Weights & Biases, Comet: (key, columns, data)
            logger.log_text(tag, columns=["text"], data=[[text]], step=step)


def log_figure(loggers: list[Logger], tag: str, figure, step: int = 0, file: Path | None = None) -> None:
    """A matplotlib figure to the loggers that take images, and as PNG to `file`. It is rendered once, the slow part."""
    content = png(figure)
    if file:
        file.write_bytes(content)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.file_writer.add_summary(picture(tag, content), step)
        elif hasattr(logger, "log_image"):  # Weights & Biases
            logger.log_image(tag, [figure], step=step)


def png(figure) -> bytes:
    """Of a matplotlib figure."""
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})  # smaller takes longer than drawing
    return content.getvalue()


def picture(tag: str, png: bytes) -> Summary:
    """What TensorBoard's writer takes: a PNG file under a name."""
    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)  # red, green, blue, alpha
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def recorded_epochs(checkpoint: Path) -> int:
    """How many epochs' records belong to a checkpoint written by this project."""
    # The run's own file; a user's module may keep more than plain data in it.
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    return state["callbacks"].get("Records", {}).get("epoch", 0)


def plain(metrics: dict) -> dict[str, float]:
    """Floats from tensors, waiting for the device once."""
    if not metrics:
        return {}
    values = torch.stack([torch.as_tensor(value).cpu().double() for value in metrics.values()])
    return dict(zip(metrics, values.tolist(), strict=True))
