"""A convolutional network for images."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.mlp import dense_layers

POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNN(Model):
    """Blocks of convolution (same padding), activation and 2 x 2 pooling, then dense layers.

    With batch norm the pooling comes before it: it then normalises a quarter of the values, as in airbench
    (https://github.com/KellerJordan/cifar10-airbench); a step takes a fifth less.

    Args:
        channels: of each block's output.
        kernel_size: of every convolution, pixels.
        pool: "max", "avg" or "none".
        stem: kernel size of a first block that halves the image by a stride of 2 and is not pooled, which takes a
            quarter of the products; None for a block like the others.
        hidden_sizes: dense layers between the blocks and the logits; None means one of 64.

    Raises:
        UserError: the inputs are no images, or too small to be halved that often.
    """

    def __init__(
        self,
        input_shape: list[int],
        num_outputs: int,
        channels: list[int] | tuple = (16, 32),
        kernel_size: int = 3,
        pool: str = "max",
        stem: int | None = None,
        hidden_sizes: list[int] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **model,
    ):
        super().__init__(**model)
        if len(input_shape) != 3:
            raise UserError(
                f"model=cnn wants images (channels, height, width), this data has rows of {input_shape[0]} columns: "
                "use model=deep, wide, wide_deep or logistic for a table."
            )
        if pool != "none" and min(input_shape[1:]) < 2 ** len(channels):
            raise UserError(
                f"{len(channels)} poolings halve {input_shape[1]} x {input_shape[2]} pixels to nothing: "
                "shorten model.channels or say model.pool=none."
            )
        blocks: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([input_shape[0], *channels])):
            strided = stem is not None and i == 0
            shape = (stem, 2, (stem - 1) // 2) if strided else (kernel_size, 1, "same")  # kernel, stride, padding
            pooling = [POOLS[pool](2)] if pool != "none" and not strided else []
            blocks.append(nn.Conv2d(inputs, outputs, *shape, bias=not batch_norm))
            active = activation_module(activation)
            blocks += [*pooling, nn.BatchNorm2d(outputs), active] if batch_norm else [active, *pooling]
        blocks.append(nn.Flatten())
        with torch.no_grad():
            flat = nn.Sequential(*blocks)(torch.zeros(1, *input_shape)).shape[1]
        sizes = [flat, *(hidden_sizes if hidden_sizes is not None else [64]), num_outputs]
        self.net = nn.Sequential(*blocks, *dense_layers(sizes, activation, dropout, batch_norm=batch_norm))
        self.to(memory_format=torch.channels_last)  # the layout that convolutions on a CPU are fast in

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # (N, num_outputs)
