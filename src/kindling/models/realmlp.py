"""RealMLP with its simplified tuned defaults, TD-S (Holzmueller et al. 2024, https://arxiv.org/abs/2407.04491).

An MLP for tables. This file has the network, and conf/model/realmlp.yaml the training: robust scaling, four cosine
cycles of the learning rate, other learning rates for some parameters, and the last epoch with the lowest validation
error.
"""

import math
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.mlp import flatten, layer_sizes
from kindling.tasks.epoch_metrics import Metric
from kindling.tasks.tasks import TASKS, Task


class Scale(nn.Module):
    """Multiplies each input (N, C) by a weight, initially 1: a learned importance of the columns."""

    def __init__(self, size: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class NTKLinear(nn.Module):
    """A linear layer in the NTK parametrization (Jacot et al. 2018): x W / sqrt(inputs) + b with W, b ~ N(0, 1).

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
        zero: start with zeros.
    """

    def __init__(self, inputs: int, outputs: int, zero: bool = False):
        super().__init__()
        start = torch.zeros if zero else torch.randn
        self.factor = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(start(inputs, outputs))
        self.bias = nn.Parameter(start(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight * self.factor + self.bias


class RealMLP(Model):
    """A scaling layer, `depth` hidden layers of `width` units or those of hidden_sizes, and an output layer.

    Args:
        input_shape: shape of a sample.
        num_outputs: number of logits; a binary classification has the difference of two.
        task: see Model.
        depth: number of hidden layers.
        width: number of units of each.
        hidden_sizes: replaces depth and width.
        activation: None: selu for classes, mish for a regression.
        label_smoothing: None: 0.1 for classes.
        regression_lr: factor of all learning rates in a regression.
        lr_factors: see Model.
        metrics: in addition to `error`, the share of wrong classes, or the root mean squared error.
        model: see Model.
    """

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        task: str,
        depth: int = 3,
        width: int = 256,
        hidden_sizes: list[int] | None = None,
        activation: str | None = None,
        label_smoothing: float | None = None,
        regression_lr: float = 1.75,
        lr_factors: Mapping[str, float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        **model: Any,
    ):
        values = task == "regression"
        super().__init__(
            task,
            label_smoothing=(0.0 if values else 0.1) if label_smoothing is None else label_smoothing,
            lr_factors={**(lr_factors or {}), **({"*": regression_lr} if values else {})},
            metrics={"error": partial(error, TASKS[task]), **(metrics or {})},
            **model,
        )
        outputs = 2 if task == "binary" else num_outputs
        *hidden, last = pairwise(
            layer_sizes(input_shape, outputs, hidden_sizes if hidden_sizes is not None else [width] * depth)
        )
        layers: list[nn.Module] = [Scale(math.prod(input_shape))]
        for sizes in hidden:
            layers += [NTKLinear(*sizes), activation_module(activation or ("mish" if values else "selu"))]
        self.net = nn.Sequential(*flatten(input_shape), *layers, NTKLinear(*last, zero=True))

    def forward(self, x: Tensor) -> Tensor:
        z = self.net(x)
        return z[:, 1:] - z[:, :1] if self.task.name == "binary" else z  # (N, num_outputs)


def error(task: Task, logits: Tensor, y: Tensor) -> Tensor:
    """Return the share of wrong classes or labels, or the root mean squared error, in the target's unit."""
    if task.name == "regression":
        return (logits.double() - y.double()).square().mean().sqrt()
    return (task.preds(logits).reshape(y.shape) != y).double().mean()
