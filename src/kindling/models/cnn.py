"""A convolutional network for images."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.mlp import dense_layers

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNN(Model):
    """Blocks of convolution (same padding), activation and 2 x 2 pooling, then dense layers.

    With batch norm, pooling comes first, so that a quarter of the values is normalized, as in airbench
    (https://github.com/KellerJordan/cifar10-airbench); this makes a step a fifth faster.

    Args:
        input_shape: (channels, height, width).
        num_outputs: number of logits.
        channels: number of output channels of each block.
        kernel_size: kernel size of the convolutions, in pixels.
        pool: "max", "avg" or "none".
        stem: kernel size of a first block that halves the image with a stride of 2 and is not pooled, which needs a
            quarter of the multiplications; None for a block like the others.
        hidden_sizes: sizes of the dense layers between the blocks and the logits; None: [64].
        activation: see kindling.activations.
        dropout: probability of zeroing a unit of the dense hidden layers.
        batch_norm: normalize every block and dense hidden layer over the batch.
        model: arguments of Model.

    Raises:
        UserError: the inputs are not images, or too small to be halved that often.
    """

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        channels: list[int] | tuple[int, ...] = (16, 32),
        kernel_size: int = 3,
        pool: str = "max",
        stem: int | None = None,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model: Any,
    ):
        super().__init__(**model)
        if len(input_shape) != 3:
            raise UserError(
                f"model=cnn needs images (channels, height, width), but this data has {input_shape[0]} columns: "
                "use model=deep, wide, wide_deep or logistic for a table."
            )
        if pool != "none" and min(input_shape[1:]) < 2 ** len(channels):
            raise UserError(
                f"Images of {input_shape[1]} x {input_shape[2]} pixels are too small for {len(channels)} pooling "
                "layers: shorten model.channels, or set model.pool=none."
            )
        blocks: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([input_shape[0], *channels])):
            pooling = [POOLS[pool](2)] if pool != "none" and (stem is None or i > 0) else []
            if stem is not None and i == 0:
                blocks.append(nn.Conv2d(inputs, outputs, stem, 2, padding=(stem - 1) // 2, bias=not batch_norm))
            else:
                blocks.append(nn.Conv2d(inputs, outputs, kernel_size, padding="same", bias=not batch_norm))
            active = activation_module(activation)
            blocks += [*pooling, nn.BatchNorm2d(outputs), active] if batch_norm else [active, *pooling]
        with torch.no_grad():
            flat = nn.Sequential(*blocks, nn.Flatten())(torch.zeros(1, *input_shape)).shape[1]
        sizes = [flat, *(hidden_sizes if hidden_sizes is not None else [64]), num_outputs]
        dense = dense_layers(sizes, activation, dropout, batch_norm=batch_norm)
        self.net = nn.Sequential(*blocks, nn.Flatten(), *dense)
        self.to(memory_format=torch.channels_last)  # the faster layout for convolutions on a CPU

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)
