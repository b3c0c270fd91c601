"""Pictures of images: those that are most confidently wrong, and what the first layer looks for."""

import math

from torch import Tensor, nn

from kindling.plots.style import figure, plain
from kindling.plots.surface import mosaic

MOST_FILTERS = 32


def most_wrong(probabilities: Tensor, y: Tensor, number: int = 16) -> Tensor:
    """Indices of the rows (N, C) whose answer is wrong, those with the highest probability first."""
    highest, predicted = probabilities.max(1)
    wrong = (predicted != y).nonzero().flatten()
    return wrong[highest[wrong].argsort(descending=True)][:number]


def draw_wrong(images: Tensor, probabilities: Tensor, y: Tensor, names: list[str], title: str):
    """`images` (K, channels, H, W) beside (K, C) and (K,): true and predicted class, and the probability of that."""
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
    fig.text(0.01, 1 - 0.2 / fig.get_figheight(), f"{title}: true class → answer and its probability", fontsize=8)
    return fig


def first_filters(model, input_shape: list[int]) -> Tensor | None:
    """Weights of the first layer as images (K, height, width): a convolution's, or a dense layer's over all pixels."""
    layer = next((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)), None)
    if layer is None or len(input_shape) != 3:
        return None
    weights = layer.weight.detach().float().cpu()
    maps = weights if weights.dim() == 4 else weights.view(-1, *input_shape)
    return maps.mean(1)[:MOST_FILTERS]  # over colours


def draw_filters(maps: Tensor, title: str):
    rows = 1 if len(maps) <= 10 else 4
    columns = math.ceil(len(maps) / rows)
    fig = figure(max(3.5, 0.6 * columns + 0.2), 0.6 * rows + 0.4)
    axes = fig.add_axes((0.02, 0.02, 0.96, 1 - 0.4 / fig.get_figheight()))
    axes.imshow(mosaic(maps, rows, gap=1).numpy(), cmap="gray")
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=8)
    return fig
