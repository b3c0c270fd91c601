"""Draw predictions and neurons over a plane of inputs."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.data.base import Data
from kindling.data.preprocessing.transforms import apply_transform
from kindling.models.capture import for_model
from kindling.models.probabilities import logits_of, predict
from kindling.plots.style import COLOURS, diverging, figure, pale, plain, scatter_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 400  # samples that are drawn
MAX_NEURONS = 32  # per layer


@dataclass
class Plane:
    """A grid over two raw input columns, with all others at their median.

    Attributes:
        names, places: names and indices of the two columns.
        x: (side * side, columns), raw inputs, row by row from the lowest value of the second column.
        extent: lowest and highest value of the first, then of the second column.
    """

    names: tuple[str, str]
    x: Tensor
    extent: tuple[float, float, float, float]
    side: int
    places: tuple[int, int]


def plane(data: Data, columns: tuple[str, str] | None = None, side: int = 100) -> Plane | None:
    """Make a grid over the range of the data, with a margin.

    Args:
        columns: names of two columns; without them, the result is None unless there are exactly two.

    Raises:
        UserError: a named column does not exist.
    """
    raw, names = data.examples.x.double(), list(data.examples.columns)
    if raw.dim() != 2 or (columns is None and (raw.shape[1] != 2 or data.examples.kinds)):
        return None
    names = names if len(names) == raw.shape[1] else [f"x{i}" for i in range(raw.shape[1])]
    one, other = columns or names
    numbers = [name for name in names if name not in data.examples.kinds]
    if unknown := {one, other} - set(numbers):
        raise UserError(f"columns={one},{other}: there is no {', '.join(sorted(unknown))} in {', '.join(numbers)}.")
    places = names.index(one), names.index(other)
    (left, right), (bottom, top) = (_range(raw[:, place]) for place in places)
    x = raw.nanmedian(0).values.repeat(side * side, 1)
    x[:, places[0]] = torch.linspace(left, right, side, dtype=x.dtype).repeat(side)
    x[:, places[1]] = torch.linspace(bottom, top, side, dtype=x.dtype).repeat_interleave(side)
    extent = left, right, bottom, top
    return Plane((one, other), x.to(data.examples.x.dtype), extent, side=side, places=places)


def _range(column: Tensor) -> tuple[float, float]:
    """Return the range of a column plus a margin, which a constant column gets as well."""
    low, high = (end.item() for end in column[~column.isnan()].aminmax())
    margin = max(0.05 * (high - low), 1e-9 * max(abs(low), abs(high))) or 0.5
    return low - margin, high + margin


def draw_surface(model: nn.Module, data: Data, grid: Plane, title: str) -> "Figure":
    """Draw the predictions over the plane, and samples on it: a probability, classes, or a value."""
    preds = predict(model, data, grid.x)
    fig = figure(5.2, 4.4)
    axes = fig.add_axes((0.12, 0.11, 0.7, 0.78))
    look: dict[str, Any] = {"extent": grid.extent, "origin": "lower", "aspect": "auto", "interpolation": "bilinear"}
    some = _some(data)
    points, y = data.examples.x[some][:, list(grid.places)], data.examples.y[some]
    names = [plain(name, 24) for name in data.examples.class_names]
    if data.examples.task == "multiclass":
        colours = torch.tensor([pale(COLOURS[k % len(COLOURS)]) for k in range(preds.shape[1])])
        axes.imshow((preds @ colours).clamp(0, 1).view(grid.side, grid.side, 3).numpy(), **look)
        _draw_samples(axes, points, y, names=names)
    else:
        value = preds[:, 0].view(grid.side, grid.side).numpy()
        two = data.examples.task in ("binary", "multilabel")
        limits: dict[str, Any] = {"vmin": 0, "vmax": 1, "cmap": diverging()} if two else {"cmap": "viridis"}
        image = axes.imshow(value, **look, **limits)
        bar = fig.colorbar(image, cax=fig.add_axes((0.85, 0.11, 0.03, 0.78)))
        bar.set_label(f"probability of {names[-1]}" if two else "target: prediction (area) and samples (dots)")
        if two:
            axes.contour(value, levels=[0.5], colors="black", linewidths=1, extent=grid.extent)
            _draw_samples(axes, points, y[:, 0].long(), names=names)
        else:
            dots = axes.scatter(points[:, 0], points[:, 1], c=y[:, 0], s=12, edgecolors="white", linewidths=0.4)
            dots.set(cmap="viridis", clim=image.get_clim())
    axes.set(xlabel=plain(grid.names[0]), ylabel=plain(grid.names[1]), title=f"predictions and samples, {title}")
    axes.set(xlim=grid.extent[:2], ylim=grid.extent[2:])
    axes.ticklabel_format(scilimits=(-3, 4))  # long tick labels, e.g. of incomes, would push out the axis label
    return fig


def draw_plane(model: nn.Module, data: Data, grid: Plane, title: str) -> "Figure":
    """Draw the predictions of a regression as a surface in 3D over its two inputs, and samples."""
    height = predict(model, data, grid.x)[:, 0].view(grid.side, grid.side)
    x, y = (grid.x[:, place].view(grid.side, grid.side) for place in grid.places)
    fig = figure(5.2, 4.4)
    axes: Any = fig.add_axes((0.0, 0.04, 0.9, 0.86), projection="3d")
    axes.plot_surface(x.numpy(), y.numpy(), height.numpy(), cmap="viridis", alpha=0.6, linewidth=0)
    some = _some(data)
    points, target = data.examples.x[some][:, list(grid.places)], data.examples.y[some, 0]
    axes.scatter(*points.T, target, s=8, color=COLOURS[1], depthshade=False)
    title = f"predictions (surface) and samples (dots), {title}"
    axes.set(xlabel=plain(grid.names[0]), ylabel=plain(grid.names[1]), zlabel="target", title=title)
    return fig


def draw_curve(model: nn.Module, data: Data, title: str) -> "Figure":
    """Draw the predictions over the range of the only input, a value or a probability, and samples."""
    raw, y, names = data.examples.x, data.examples.y, data.examples.columns or ["x"]
    low, high = (end.item() for end in raw[~raw.isnan()].aminmax())
    x = torch.linspace(low, high, 400, dtype=raw.dtype)[:, None]
    some = _some(data)
    fig = figure(5.2, 3.8)
    axes = fig.add_axes((0.13, 0.13, 0.84, 0.77))
    axes.plot(raw[some, 0], y[some, 0], **scatter_style(len(some)))
    axes.plot(x[:, 0], predict(model, data, x)[:, 0], color=COLOURS[1], linewidth=2)
    binary = data.examples.task == "binary"
    label = f"probability of {plain(data.examples.class_names[-1])}" if binary else "target"
    axes.set(xlabel=plain(names[0]), ylabel=label, title=f"predictions (line) and samples (dots), {title}")
    return fig


def draw_neurons(model: nn.Module, data: Data, grid: Plane, title: str) -> "Figure | None":
    """Draw the outputs of the first and last hidden layers over the plane; return None without hidden layers."""
    layers = hidden(model, apply_transform(grid.x, data.transform))
    if not layers:
        return None
    shown = {"first hidden layer": layers[0]} | ({"last hidden layer": layers[-1]} if len(layers) > 1 else {})
    columns = [math.ceil(min(MAX_NEURONS, layer.shape[1]) / 4) for layer in shown.values()]
    fig = figure(max(4.2, 1.0 + 0.65 * sum(columns)), 3.3)  # wide enough for the title
    left = 0.3
    for (name, layer), number in zip(shown.items(), columns, strict=True):
        width = 0.65 * number
        axes = fig.add_axes((left / fig.get_figwidth(), 0.03, width / fig.get_figwidth(), 0.77))
        maps = layer.T[:MAX_NEURONS].view(-1, grid.side, grid.side).flip(1)
        axes.imshow(mosaic(maps, 4).numpy(), cmap="viridis", aspect="auto")
        axes.set_axis_off()
        more = f", {MAX_NEURONS} of {layer.shape[1]}" if layer.shape[1] > MAX_NEURONS else ""
        axes.set_title(f"{name}{more}", loc="left")
        left += width + 0.3
    right, up = (plain(name, 16) for name in grid.names)
    caption = f"output of each neuron (blue: low, yellow: high), {title}\nhorizontal: {right}, vertical: {up}"
    fig.text(0.3 / fig.get_figwidth(), 0.885, caption, fontsize=8)
    return fig


def _some(data: Data) -> Tensor:
    """Return the indices of up to MAX_POINTS samples."""
    number = len(data.examples.x)
    return torch.linspace(0, number - 1, min(MAX_POINTS, number)).long()


def hidden(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the outputs (N, units) of hidden layers for scaled inputs: the inputs of linear layers but the first."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    found: list[Tensor] = []
    hooks = [m.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].float().cpu())) for m in linear]
    try:
        logits_of(model, x, batch_size=len(x))
    finally:
        for hook in hooks:
            hook.remove()
    return [layer for layer in found if not torch.equal(layer, for_model(model, x).float().cpu().flatten(1))]


def mosaic(maps: Tensor, rows: int, gap: int = 4) -> Tensor:
    """Arrange maps (K, H, W), each scaled to the range 0 to 1, in rows, with NaN in between."""
    k, height, width = maps.shape
    low, high = (end.view(k, 1, 1) for end in maps.flatten(1).aminmax(dim=1))
    constant = high - low <= 1e-6 * torch.maximum(low.abs(), high.abs())  # up to float32's rounding
    maps = torch.where(constant, 0.0, (maps - low) / (high - low))
    columns = math.ceil(k / rows)
    out = torch.full((rows * (height + gap), columns * (width + gap)), math.nan)
    for i, one in enumerate(maps):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        out[top : top + height, left : left + width] = one
    return out[:-gap, :-gap]


def _draw_samples(axes: "Axes", points: Tensor, y: Tensor, names: list[str]) -> None:
    for k, name in enumerate(names):
        own, colour = points[y == k], COLOURS[k % len(COLOURS)]
        axes.scatter(own[:, 0], own[:, 1], s=12, label=name, color=colour, edgecolors="white", linewidths=0.4)
    if len(names) <= 10:
        axes.legend(fontsize=7, loc="upper right", framealpha=0.8)
