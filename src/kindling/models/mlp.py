"""Multi-layer perceptrons: wide, deep, and both beside each other."""

import math
from itertools import pairwise

from torch import Tensor, nn

from kindling.models.activation import activation_module
from kindling.models.base import Model


def flatten(input_shape: list[int]) -> list[nn.Module]:
    """A Flatten where rows are not flat already: it would be a tenth of a small net's forward pass."""
    return [nn.Flatten()] if len(input_shape) > 1 else []


def dense_layers(sizes: list[int], activation: str, dropout: float) -> list[nn.Module]:
    """Linear, activation and dropout for every step from sizes[0] to sizes[-1]."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation_module(activation)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers


class Deep(Model):
    """`depth` hidden layers of `width` units; hidden_sizes, e.g. [6, 4], replaces both."""

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        depth: int = 2,
        width: int = 32,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        **model,
    ):
        super().__init__(**model)
        sizes = [math.prod(input_shape), *(hidden_sizes or [width] * depth)]
        self.net = nn.Sequential(
            *flatten(input_shape), *dense_layers(sizes, activation, dropout), nn.Linear(sizes[-1], num_outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)


class WideDeep(Model):
    """A linear part beside a deep part, their logits added (Cheng et al. 2016, https://arxiv.org/abs/1606.07792)."""

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        depth: int = 2,
        width: int = 32,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        **model,
    ):
        super().__init__(**model)
        sizes = [math.prod(input_shape), *(hidden_sizes or [width] * depth)]
        self.wide = nn.Linear(sizes[0], num_outputs)
        self.deep = nn.Sequential(*dense_layers(sizes, activation, dropout), nn.Linear(sizes[-1], num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.wide(x) + self.deep(x)  # (N, num_outputs)
