"""A network for each group of columns, followed by a shared layer and a network for each target."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.models.base import Model
from kindling.models.mlp import dense_layers


class Towers(Model):
    """Towers for groups of columns, whose concatenated outputs go through a shared layer and into a head per target.

    Args:
        groups: number of columns of each tower, from the left.
        towers: sizes of each tower's layers.
        joined: units of the shared layer.
        heads: units of each target's hidden layer.

    Raises:
        UserError: groups and heads do not match the columns and targets of the data.
    """

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        groups: Sequence[int] = (10, 8),
        towers: Sequence[Sequence[int]] = ((128, 128, 32), (32, 32, 32)),
        joined: int = 28,
        heads: Sequence[int] = (64, 16),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model: Any,
    ):
        super().__init__(**model)
        if len(input_shape) != 1 or sum(groups) != input_shape[0]:
            shape = f"{input_shape[0]} columns" if len(input_shape) == 1 else f"images of shape {input_shape}"
            raise UserError(
                f"model=towers needs {sum(groups)} columns for its groups of {list(groups)}, and this data has "
                f"{shape}: set model.groups=[...] so that they sum to the columns, or use model=deep."
            )
        if len(heads) != num_outputs:
            raise UserError(
                f"model=towers has {len(heads)} heads and this data has {num_outputs} targets: set model.heads=[...] "
                "to the units of a head for each target."
            )
        if len(towers) != len(groups):
            raise UserError(
                f"model.towers={towers} has {len(towers)} towers for {len(groups)} groups: give one tower per group."
            )

        def hidden(inputs: int, *sizes: int) -> nn.Sequential:
            return nn.Sequential(*dense_layers([inputs, *sizes, 1], activation, dropout, batch_norm=batch_norm)[:-1])

        self.groups = list(groups)
        self.towers = nn.ModuleList(hidden(n, *sizes) for n, sizes in zip(groups, towers, strict=True))
        self.joined = hidden(sum(sizes[-1] for sizes in towers), joined)
        self.heads = nn.ModuleList(nn.Sequential(*hidden(joined, size), nn.Linear(size, 1)) for size in heads)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.towers, x.split(self.groups, 1), strict=True)
        shared = self.joined(torch.cat([tower(part) for tower, part in parts], 1))  # (N, joined)
        return torch.cat([head(shared) for head in self.heads], 1)  # (N, num_outputs)
