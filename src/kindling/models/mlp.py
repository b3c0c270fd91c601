"""Multi-layer perceptrons: deep, and deep next to a linear part."""

import math
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.noise import Dropout


def flatten(input_shape: list[int]) -> list[nn.Module]:
    """Return a Flatten if the inputs are not flat; it would take a tenth of a small model's forward pass."""
    return [nn.Flatten()] if len(input_shape) > 1 else []


def layer_sizes(input_shape: list[int], num_outputs: int, hidden_sizes: list[int]) -> list[int]:
    """Return the number of units of each layer, from the flattened inputs to the logits."""
    return [math.prod(input_shape), *hidden_sizes, num_outputs]


def dense_layers(sizes: list[int], activation: str, dropout: float, batch_norm: bool) -> list[nn.Module]:
    """Return linear layers from sizes[0] to sizes[-1], all but the last with batch norm, activation, dropout."""
    layers: list[nn.Module] = []
    *hidden, last = pairwise(sizes)
    for inputs, outputs in hidden:
        layers.append(nn.Linear(inputs, outputs, bias=not batch_norm))  # batch norm has its own shift
        layers += [nn.BatchNorm1d(outputs)] if batch_norm else []
        layers.append(activation_module(activation))
        layers += [Dropout(dropout)] if dropout else []
    return [*layers, nn.Linear(*last)]


class Deep(Model):
    """An MLP of `depth` hidden layers of `width` units; hidden_sizes, e.g. [6, 4], replaces both, and [] means none."""

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        depth: int = 2,
        width: int = 32,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model: Any,
    ):
        super().__init__(**model)
        sizes = layer_sizes(input_shape, num_outputs, hidden_sizes if hidden_sizes is not None else [width] * depth)
        self.net = nn.Sequential(
            *flatten(input_shape), *dense_layers(sizes, activation, dropout, batch_norm=batch_norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)


class WideDeep(Model):
    """The sum of a linear model and an MLP (Cheng et al. 2016, https://arxiv.org/abs/1606.07792)."""

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        depth: int = 2,
        width: int = 32,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model: Any,
    ):
        super().__init__(**model)
        sizes = layer_sizes(input_shape, num_outputs, hidden_sizes if hidden_sizes is not None else [width] * depth)
        self.wide = nn.Linear(sizes[0], num_outputs)
        self.deep = nn.Sequential(*dense_layers(sizes, activation, dropout, batch_norm=batch_norm))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.wide(x) + self.deep(x)  # (N, num_outputs)
