"""Show each sample of a small table with its prediction, and the shapes of the tensors involved."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of
from kindling.models.base import Model
from kindling.models.probabilities import predict
from kindling.training.checkpoint import best_of
from kindling.training.summary import Summary
from kindling.training.tolerate import optional

MAX_SAMPLES = 8


class FewRows(pl.Callback, Summary):
    """Reports the predictions of a `Model` with its best weights for the first samples of a `Data`, one line each.

    A prediction is a probability, a probability for each class, or a value in the target's unit.
    """

    supports_multi_step = True

    def __init__(self) -> None:
        self.shapes: list[str] = []
        self.lines: list[str] = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with optional("samples with their predictions"):
            self._write(pl_module, best_of(trainer), datamodule_of(trainer))

    def _write(self, module: pl.LightningModule, best: dict[str, Any], data: pl.LightningDataModule | None) -> None:
        if not best or not isinstance(module, Model) or not isinstance(data, Data) or data.examples.x.dim() != 2:
            return
        last = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        module.load_state_dict(best["weights"])
        x, y = (part[:MAX_SAMPLES] for part in (data.examples.x, data.examples.y))
        try:
            preds = predict(module, data, x)
        finally:
            module.load_state_dict(last)
        tensors = {"x": data.samples["train"][0], **best["weights"], "prediction": preds}
        self.shapes = ["  ".join(f"{name} {_shape(tensor)}" for name, tensor in tensors.items())]
        columns = data.examples.columns or [f"x{i}" for i in range(x.shape[1])]
        for sample, target, pred in zip(x.tolist(), y.view(len(y), -1).tolist(), preds.tolist(), strict=True):
            inputs = "  ".join(f"{name} {value:.4g}" for name, value in zip(columns, sample, strict=True))
            self.lines.append(f"{inputs}  target {_numbers(target, '.4g')}  prediction {_numbers(pred, '.2f')}")

    def summary(self, command: str, cfg: object) -> dict[str, list[str]]:
        """Return the lines for result.json and the console."""
        return {"shapes": self.shapes, "predictions": self.lines}


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape)).replace(",)", ")")


def _numbers(values: list[float], spec: str) -> str:
    return " ".join(f"{value:{spec}}" for value in values)
