"""Groups of columns through networks of their own, then a shared layer, then a network for each target."""

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.models.base import Model
from kindling.models.mlp import dense_layers


class Towers(Model):
    """Each group of columns has a tower; what they give is joined, goes through one layer, and into a head per target.

    Args:
        groups: columns of each tower, from the left.
        towers: sizes of each tower's layers.
        joined: units of the layer that all towers' outputs go into.
        heads: units of each target's hidden layer.

    Raises:
        UserError: the data's columns or targets are not those of the groups and heads.
    """

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        groups: list[int] | tuple = (10, 8),
        towers: list[list[int]] | tuple = ((128, 128, 32), (32, 32, 32)),
        joined: int = 28,
        heads: list[int] | tuple = (64, 16),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model,
    ):
        super().__init__(**model)
        if len(input_shape) != 1 or sum(groups) != input_shape[0]:
            rows = f"{input_shape[0]} columns" if len(input_shape) == 1 else f"images {input_shape}"
            raise UserError(
                f"model=towers wants {sum(groups)} columns for its groups of {list(groups)}, this data has rows of "
                f"{rows}: say model.groups=[...] so that they sum to the columns, or use model=deep."
            )
        if len(heads) != num_outputs:
            raise UserError(
                f"model=towers has {len(heads)} heads and this data {num_outputs} targets: say model.heads=[...] with "
                "the units of a head for each."
            )
        if len(towers) != len(groups):
            raise UserError(f"model.towers={towers} are {len(towers)} towers for {len(groups)} groups: give as many.")

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
