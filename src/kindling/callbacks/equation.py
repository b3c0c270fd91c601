"""Write a trained linear model as an equation in the units of the data."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling.data.base import Data
from kindling.data.preprocessing.features import feature_names
from kindling.data.preprocessing.transforms import target_scaling
from kindling.data.trainer_parts import datamodule_of
from kindling.models.linear import Linear
from kindling.tasks.quantiles import quantile_names, task_of
from kindling.training.checkpoint import best_of
from kindling.training.summary import Summary
from kindling.training.tolerate import optional

MAX_SIZE = 20  # terms per equation, and equations


class Equation(pl.Callback, Summary):
    """Reports the best weights of a `Linear` model on a table, one equation for every output."""

    supports_multi_step = True

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with optional("equation of the model"):
            self._write(pl_module, best_of(trainer), datamodule_of(trainer))

    def _write(self, module: pl.LightningModule, best: dict[str, Any], data: pl.LightningDataModule | None) -> None:
        if not (best and type(module) is Linear and isinstance(data, Data)):
            return
        if data.samples["train"][0].dim() == 2 and "smooth_clip" not in data.transform:  # which is not linear
            weight, bias = in_units_of_the_data(best["weights"], data.transform)
            if max(weight.shape) <= MAX_SIZE:
                self.lines = equations(weight, bias, data)

    def summary(self, command: str, cfg: object) -> dict[str, list[str]]:
        """Return the equations for result.json and the console."""
        return {"equation": self.lines} if self.lines else {}


def in_units_of_the_data(weights: dict[str, Tensor], transform: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Undo the scaling of inputs and targets.

    Returns:
        Weights (num_outputs, features) and biases (num_outputs,) in float64.
    """
    weight, bias = (weights[f"net.0.{name}"].double().cpu() for name in ("weight", "bias"))
    factor, shift = (torch.tensor(transform[name], dtype=torch.float64) for name in ("factor", "shift"))
    weight = weight * factor
    bias = bias - weight @ shift
    std, shift = target_scaling(transform, len(bias))
    return weight * std[:, None], bias * std + shift


def equations(weight: Tensor, bias: Tensor, data: Data) -> list[str]:
    """Return a line for every output: "y = 0.9 x + 0.2", or for a classification "logit of yes = ..."."""
    names = list(data.examples.class_names)
    unnamed = [f"x{i}" for i in range(data.examples.x.shape[1])]
    terms = data.input_names or feature_names(unnamed, data.features, data.degree)
    if data.examples.task == "regression":
        number = data.examples.num_outputs
        left = names or ["y"] if number == 1 else names or [f"y{i}" for i in range(number)]
        left += quantile_names(task_of("regression", data.quantiles), left)
    else:
        left = [f"logit of {name}" for name in (names[-1:] if data.examples.task == "binary" else names)]
    outputs = zip(left, weight.tolist(), bias.tolist(), strict=True)
    return [f"{name} = {_sum(factors, terms, constant)}" for name, factors, constant in outputs]


def _sum(weights: list[float], terms: list[str], bias: float) -> str:
    parts = [(w, f"{abs(w):.4g} {term}") for w, term in zip(weights, terms, strict=True)] + [(bias, f"{abs(bias):.4g}")]
    first, *rest = parts
    text = ("-" if first[0] < 0 else "") + first[1]
    return text + "".join(f" {'-' if number < 0 else '+'} {part}" for number, part in rest)
