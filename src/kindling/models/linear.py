"""One linear layer: logistic, softmax or linear regression, by the task."""

import math

from torch import Tensor, nn

from kindling.models.base import Model


class Linear(Model):
    """Logits are a weighted sum of the inputs."""

    def __init__(self, input_shape: list[int], num_outputs: int, **model):
        super().__init__(**model)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)
