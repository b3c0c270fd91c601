"""Multi-layer perceptrons: wide, deep, and both beside each other."""

import math
from itertools import pairwise

from torch import Tensor, nn

from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.noise import Dropout


def flatten(input_shape: list[int]) -> list[nn.Module]:
    """A Flatten where rows are not flat already: it would be a tenth of a small net's forward pass."""
    return [nn.Flatten()] if len(input_shape) > 1 else []


def layer_sizes(input_shape: list[int], num_outputs: int, hidden_sizes: list[int]) -> list[int]:
    """Return the number of units of every layer, from the flat inputs to the logits."""
    return [math.prod(input_shape), *hidden_sizes, num_outputs]


def dense_layers(sizes: list[int], activation: str, dropout: float, batch_norm: bool) -> list[nn.Module]:
    """Linear layers from sizes[0] to sizes[-1], after all but the last batch norm, activation and dropout."""
    layers: list[nn.Module] = []
    *hidden, last = pairwise(sizes)
    for inputs, outputs in hidden:
        layers.append(nn.Linear(inputs, outputs, bias=not batch_norm))  # batch norm has a shift of its own
        layers += [nn.BatchNorm1d(outputs)] if batch_norm else []
        layers.append(activation_module(activation))
        layers += [Dropout(dropout)] if dropout else []
    return [*layers, nn.Linear(*last)]


class Deep(Model):
    """`depth` hidden layers of `width` units; hidden_sizes, e.g. [6, 4], replaces both, and [] leaves a linear map."""

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
        **model,
    ):
        super().__init__(**model)
        sizes = layer_sizes(input_shape, num_outputs, hidden_sizes if hidden_sizes is not None else [width] * depth)
        self.net = nn.Sequential(
            *flatten(input_shape), *dense_layers(sizes, activation, dropout, batch_norm=batch_norm)
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
        batch_norm: bool = False,
        **model,
    ):
        super().__init__(**model)
        sizes = layer_sizes(input_shape, num_outputs, hidden_sizes if hidden_sizes is not None else [width] * depth)
        self.wide = nn.Linear(sizes[0], num_outputs)
        self.deep = nn.Sequential(*dense_layers(sizes, activation, dropout, batch_norm=batch_norm))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.wide(x) + self.deep(x)  # (N, num_outputs)
