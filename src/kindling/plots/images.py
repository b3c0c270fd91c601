"""Figures for image data: the most confident errors, and the filters of the first layer."""

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from kindling.plots.style import figure, plain
from kindling.plots.surface import mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILTERS = 32


def most_wrong(probabilities: Tensor, y: Tensor, number: int = 16) -> Tensor:
    """Return the indices of wrong predictions (N, C), highest probability first."""
    highest, predicted = probabilities.max(1)
    wrong = (predicted != y).nonzero().flatten()
    return wrong[highest[wrong].argsort(descending=True)][:number]


def draw_wrong(images: Tensor, probabilities: Tensor, y: Tensor, names: list[str], title: str) -> "Figure":
    """Draw images with their true class, their predicted class and its probability.

    Args:
        images: (K, channels, H, W).
        probabilities: (K, C).
        y: (K,), true classes.
        names: the C class names.
    """
    columns = min(8, len(images))
    rows = math.ceil(len(images) / columns)
    fig = figure(1.15 * columns + 0.2, 1.45 * rows + 0.4)
    for i, (image, p, true) in enumerate(zip(images, probabilities, y.tolist(), strict=True)):
        width, height = 1.15 / fig.get_figwidth(), 1.45 / fig.get_figheight()
        place = (
            0.1 / fig.get_figwidth() + i % columns * width,
            1 - 0.35 / fig.get_figheight() - (i // columns + 1) * height,
        )
        axes = fig.add_axes((*place, 0.95 * width, 0.72 * height))
        axes.imshow((image[0] if len(image) == 1 else image.permute(1, 2, 0)).numpy(), cmap="gray")
        axes.set_axis_off()
        axes.set_title(
            f"{plain(names[true], 14)}\n→ {plain(names[int(p.argmax())], 12)} {p.max():.2f}", fontsize=6.5, pad=2
        )
    caption = f"{title}, most confident errors: true class → predicted class and its probability"
    fig.text(0.01, 1 - 0.2 / fig.get_figheight(), caption, fontsize=8)
    return fig


def first_filters(model: nn.Module, input_shape: list[int]) -> Tensor | None:
    """Return the weights of the first convolutional or linear layer as images (K, height, width), or None.

    They are averaged over channels. None if the inputs are not images or there is no such layer.
    """
    layer = next((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)), None)
    if layer is None or len(input_shape) != 3:
        return None
    weights = layer.weight.detach().float().cpu()
    maps = weights if weights.dim() == 4 else weights.view(-1, *input_shape)
    return maps.mean(1)[:MAX_FILTERS]


def draw_filters(maps: Tensor, title: str) -> "Figure":
    rows = 1 if len(maps) <= 10 else 4
    columns = math.ceil(len(maps) / rows)
    fig = figure(max(3.5, 0.6 * columns + 0.2), 0.6 * rows + 0.4)
    axes = fig.add_axes((0.02, 0.02, 0.96, 1 - 0.4 / fig.get_figheight()))
    axes.imshow(mosaic(maps, rows, gap=1).numpy(), cmap="gray")
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=8)
    return fig
