"""Of a table of a few rows, shows each row with its answer, and the shapes on the way to it."""

import pytorch_lightning as pl
from torch import Tensor

from kindling.data.base import Data
from kindling.models.base import Model
from kindling.models.predict import predict
from kindling.training.checkpoint import best_of
from kindling.training.summary import Summary
from kindling.training.tolerate import optional

MOST = 8  # rows


class FewRows(pl.Callback, Summary):
    """For models and data of ours: a line for every training row, of the best weights; of larger sets the first ones.

    An answer is a probability, one for each class, or a value in the target's unit.
    """

    supports_multi_step = True

    def __init__(self):
        self.shapes: list[str] = []
        self.lines: list[str] = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with optional("few rows with their predictions"):
            self._write(pl_module, best_of(trainer), trainer.datamodule)

    def _write(self, pl_module: pl.LightningModule, best: dict, data) -> None:
        if not best or not isinstance(pl_module, Model) or not isinstance(data, Data) or data.examples.x.dim() != 2:
            return
        now = {name: tensor.detach().clone() for name, tensor in pl_module.state_dict().items()}
        pl_module.load_state_dict(best["weights"])
        x, y = (part[:MOST] for part in (data.examples.x, data.examples.y))
        try:
            preds = predict(pl_module, data, x)
        finally:
            pl_module.load_state_dict(now)
        tensors = {"x": data.samples["train"][0], **best["weights"], "prediction": preds}
        self.shapes = ["  ".join(f"{name} {_shape(tensor)}" for name, tensor in tensors.items())]
        columns = data.examples.columns or [f"x{i}" for i in range(x.shape[1])]
        for row, target, said in zip(x.tolist(), y.view(len(y), -1).tolist(), preds.tolist(), strict=True):
            given = "  ".join(f"{name} {value:.4g}" for name, value in zip(columns, row, strict=True))
            self.lines.append(f"{given}  target {_numbers(target, '.4g')}  prediction {_numbers(said, '.2f')}")

    def summary(self, command: str, cfg: object) -> dict[str, list[str]]:
        """For the result of the run."""
        return {"shapes": self.shapes, "predictions": self.lines}


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape)).replace(",)", ")")


def _numbers(values: list[float], form: str) -> str:
    return " ".join(f"{value:{form}}" for value in values)
