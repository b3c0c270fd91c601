"""One linear layer: logistic, softmax or linear regression, depending on the task."""

import math
from typing import Any

from torch import Tensor, nn

from kindling.models.base import Model
from kindling.models.mlp import flatten


class Linear(Model):
    """A linear model, whose logits are weighted sums of the inputs."""

    def __init__(self, input_shape: list[int], num_outputs: int, **model: Any):
        super().__init__(**model)
        self.net = nn.Sequential(*flatten(input_shape), nn.Linear(math.prod(input_shape), num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)
