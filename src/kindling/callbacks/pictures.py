"""Draw pictures of a run during and after training."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of
from kindling.models.base import Model
from kindling.models.capture import in_series, some_samples
from kindling.plots import data_summary, tensorboard
from kindling.plots import loss_path as path
from kindling.plots.figures import Drawings, model_figures, positives, sample_figures, stage_predictions, without_test
from kindling.plots.save import log_figure
from kindling.training.checkpoint import best_of
from kindling.training.loggers import log_text
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")


class Pictures(pl.Callback):
    """Draws pictures of a `Model` trained on a `Data`, as PNG files and for TensorBoard.

    Args:
        folder: the run's folder, for the PNG files.
        pictures: "none", "final" or "series".
        test_only: draw the pictures of test samples without training before.
    """

    supports_multi_step = True

    def __init__(self, folder: str, pictures: str = "final", test_only: bool = False):
        self.folder, self.pictures, self.test_only = Path(folder), pictures, test_only
        self.path: list[list[float]] = []  # both weights of a model that has only two, initially and after every epoch
        self.drawn: tuple[Model, Data] | None = None  # from the start of training on, None if nothing is drawn

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = datamodule_of(trainer)
        if self.pictures == "none":
            return
        if not isinstance(pl_module, Model) or not isinstance(data, Data):
            log.info("no pictures: they require subclasses of kindling.models.base.Model and kindling.data.base.Data")
        elif trainer.is_global_zero:
            self.drawn = pl_module, data

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.test_only:
            self.on_fit_start(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.drawn or trainer.ckpt_path:  # resumed
            return
        model, data = self.drawn
        self._extend_path(model)
        with optional("data summary"):
            log_text(trainer.loggers, "data", data_summary.data_summary(data))
        if self.pictures == "series":
            self._write_histograms(trainer, model, data, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.drawn:
            return
        model, data = self.drawn
        self._extend_path(model)
        epoch = trainer.current_epoch + 1
        if self.pictures == "series" and in_series(epoch):
            self._write_histograms(trainer, model, data, epoch=epoch)
            figures = model_figures(model, data, f"epoch {epoch}", training_path=self.path)
            self._write_figures(trainer, figures, "/series", epoch=epoch)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        best = best_of(trainer)
        if not self.drawn or not best or not all(bool(t.isfinite().all()) for t in best["weights"].values()):
            return
        model, data = self.drawn
        last = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(best["weights"])
        try:
            self._draw_best(trainer, model, data, epoch=best["epoch"])
        finally:
            model.load_state_dict(last)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.drawn:  # after training, or with test_only
            self._draw_samples(trainer, *self.drawn, stage="test")

    def state_dict(self) -> dict[str, Any]:
        return {"path": self.path}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.path = state_dict["path"]

    def _extend_path(self, model: Model) -> None:
        if path.two_parameters(model):
            self.path.append(path.current_point(model))

    def _draw_best(self, trainer: pl.Trainer, model: Model, data: Data, epoch: int) -> None:
        if self.pictures == "final":
            self._write_histograms(trainer, model, data, epoch=epoch)
        figures = model_figures(model, data, f"best epoch ({epoch})", training_path=self.path)
        self._write_figures(trainer, figures, "/best", epoch=epoch, folder=self.folder)
        if len(data.samples["test"][1]) == 0:
            self._draw_samples(trainer, model, data, stage=without_test(data))
        with optional("graph of the model"):
            for writer in writers(trainer):
                tensorboard.write_graph(writer, model, some_samples(data, model, 1)[0])

    def _draw_samples(self, trainer: pl.Trainer, model: Model, data: Data, stage: str) -> None:
        """Draw predictions of the best weights, at the step of their epoch."""
        epoch = best_of(trainer).get("epoch", 0)
        with optional(f"pictures of the {stage} samples"):
            preds = stage_predictions(model, data, stage)
            self._write_figures(trainer, sample_figures(data, stage, preds), "", epoch=epoch, folder=self.folder)
            if data.examples.task != "regression":
                for writer in writers(trainer):
                    tensorboard.write_pr_curves(writer, positives(data, stage, preds), stage, step=epoch)

    def _write_histograms(self, trainer: pl.Trainer, model: Model, data: Data, epoch: int) -> None:
        with optional(f"histograms of epoch {epoch}"):
            samples = some_samples(data, model)
            for writer in writers(trainer):
                tensorboard.write_histograms(writer, model, *samples, epoch)

    def _write_figures(
        self, trainer: pl.Trainer, drawings: Drawings, kind: str, epoch: int, folder: Path | None = None
    ) -> None:
        """Draw figures for the loggers, and as PNG files into `folder`."""
        with optional("pictures"):
            for name, draw in drawings:
                with optional(f"picture {name} of epoch {epoch}"):
                    figure = draw()
                    if figure is not None:
                        file = folder / f"{name.replace('/', '_')}.png" if folder else None
                        log_figure(trainer.loggers, f"{name}{kind}", figure, step=epoch, file=file)


def writers(trainer: pl.Trainer) -> list[SummaryWriter]:
    """Return the writers of the TensorBoard loggers."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
