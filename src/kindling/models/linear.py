"""One linear layer: logistic, softmax or linear regression, by the task."""

import math

from torch import Tensor, nn

from kindling.models.base import Model
from kindling.models.mlp import flatten


class Linear(Model):
    """Logits are a weighted sum of the inputs."""

    def __init__(self, input_shape: list[int], num_outputs: int, **model):
        super().__init__(**model)
        self.net = nn.Sequential(*flatten(input_shape), nn.Linear(math.prod(input_shape), num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)
