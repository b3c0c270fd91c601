"""Draws while a run trains, and after it."""

import logging
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from kindling.data.base import Data
from kindling.models.base import Model
from kindling.models.capture import in_series, some_samples
from kindling.plots import data_card, tensorboard
from kindling.plots import loss_path as path
from kindling.plots.figures import Drawings, model_figures, positives, sample_figures, stage_predictions, without_test
from kindling.plots.save import log_figure
from kindling.training.checkpoint import best_of
from kindling.training.loggers import log_text
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")


class Pictures(pl.Callback):
    """Draws for models and data of ours; of others nothing.

    Args:
        folder: the run's; PNG files go there.
        pictures: "none", "final" or "series".
    """

    supports_multi_step = True

    def __init__(self, folder: str, pictures: str = "final"):
        self.folder, self.pictures = Path(folder), pictures
        self.path: list[list[float]] = []  # of a model of two numbers, these after every epoch, from the start on
        self.draws = self.follows = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ours = isinstance(pl_module, Model) and isinstance(trainer.datamodule, Data)
        if self.pictures != "none" and not ours:
            log.info("no pictures: they are drawn for a kindling.models.base.Model on a kindling.data.base.Data")
        self.draws = self.pictures != "none" and ours and trainer.is_global_zero
        self.follows = self.draws and path.two_parameters(pl_module) is not None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.draws or trainer.global_step:  # resumed
            return
        if self.follows:
            self.path.append(path.where(pl_module))
        with optional("card of the data"):
            log_text(trainer.loggers, "data", data_card.data_card(trainer.datamodule))
        if self.pictures == "series":
            self._of_layers(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.draws:
            return
        if self.follows:
            self.path.append(path.where(pl_module))
        epoch = trainer.current_epoch + 1
        if self.pictures == "series" and in_series(epoch):
            self._of_layers(trainer, pl_module, epoch)
            figures = model_figures(pl_module, trainer.datamodule, f"epoch {epoch}", way=self.path)
            self._show(trainer, figures, "/series", epoch=epoch)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        best = best_of(trainer)
        if not self.draws or not best or not all(bool(t.isfinite().all()) for t in best["weights"].values()):
            return
        now = {name: tensor.detach().clone() for name, tensor in pl_module.state_dict().items()}
        pl_module.load_state_dict(best["weights"])
        try:
            self._of_best(trainer, pl_module, best["epoch"])
        finally:
            pl_module.load_state_dict(now)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.draws:  # only at the end of a run that was trained
            self._of_rows(trainer, pl_module, "test")

    def state_dict(self) -> dict:
        return {"path": self.path}

    def load_state_dict(self, state_dict: dict) -> None:
        self.path = state_dict["path"]

    def _of_best(self, trainer: pl.Trainer, model: Model, epoch: int) -> None:
        data = trainer.datamodule
        if self.pictures == "final":
            self._of_layers(trainer, model, epoch)
        figures = model_figures(model, data, f"best epoch ({epoch})", way=self.path)
        self._show(trainer, figures, "/best", epoch=epoch, folder=self.folder)
        if len(data.samples["test"][1]) == 0:
            self._of_rows(trainer, model, without_test(data))
        with optional("graph of the model"):
            for writer in writers(trainer):
                tensorboard.write_graph(writer, model, some_samples(data, model, 1)[0])

    def _of_rows(self, trainer: pl.Trainer, model: Model, stage: str) -> None:
        """Of the best weights, at their epoch: a test uses them as well."""
        data, epoch = trainer.datamodule, best_of(trainer).get("epoch", 0)
        with optional(f"pictures of the {stage} samples"):
            preds = stage_predictions(model, data, stage)
            self._show(trainer, sample_figures(data, stage, preds), "", epoch=epoch, folder=self.folder)
            if data.examples.task != "regression":
                for writer in writers(trainer):
                    tensorboard.write_pr_curves(writer, positives(data, stage, preds), stage, step=epoch)

    def _of_layers(self, trainer: pl.Trainer, model: Model, epoch: int) -> None:
        with optional(f"histograms of epoch {epoch}"):
            rows = some_samples(trainer.datamodule, model)
            for writer in writers(trainer):
                tensorboard.write_histograms(writer, model, *rows, epoch)

    def _show(self, trainer: pl.Trainer, drawings: Drawings, kind: str, epoch: int, folder: Path | None = None) -> None:
        """Draw for the loggers, and into `folder`."""
        with optional("pictures"):
            for name, draw in drawings:
                with optional(f"picture {name} of epoch {epoch}"):
                    figure = draw()
                    if figure is not None:
                        file = folder / f"{name.replace('/', '_')}.png" if folder else None
                        log_figure(trainer.loggers, f"{name}{kind}", figure, step=epoch, file=file)


def writers(trainer: pl.Trainer) -> list:
    """TensorBoard's, of the loggers that have one."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
