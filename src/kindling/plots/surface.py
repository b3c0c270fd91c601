"""What a network makes of a plane of inputs: its decision surface, and a map of every neuron."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.data.transforms import apply_transform
from kindling.models.capture import for_model
from kindling.models.predict import logits_of, predict
from kindling.plots.style import COLOURS, diverging, figure, pale, plain, scatter_style

POINTS = 400  # drawn on a surface, at most
MOST_NEURONS = 32  # of a layer


@dataclass
class Plane:
    """A grid over two raw input columns, all others at their median.

    x: (side * side, columns), raw, row by row from the lowest value of the second column.
    extent: lowest and highest value of the first, then of the second column.
    """

    names: tuple[str, str]
    x: Tensor
    extent: tuple[float, float, float, float]
    side: int
    places: tuple[int, int]


def plane(data, columns: tuple[str, str] | None = None, side: int = 100) -> Plane | None:
    """Over the training rows' range and a little more; None for inputs that are not two columns, if none are named.

    Raises:
        UserError: a column is named that there is not.
    """
    raw, names = data.examples.x, list(data.examples.columns)
    if raw.dim() != 2 or (columns is None and raw.shape[1] != 2):
        return None
    names = names if len(names) == raw.shape[1] else [f"x{i}" for i in range(raw.shape[1])]
    if unknown := set(columns or ()) - set(names):
        raise UserError(f"columns={','.join(columns)}: there is no {', '.join(sorted(unknown))} in {', '.join(names)}.")
    places = tuple(names.index(name) for name in columns or names)
    raw = raw.double()
    ends = []
    for place in places:
        low, high = (end.item() for end in raw[:, place][~raw[:, place].isnan()].aminmax())
        room = max(0.05 * (high - low), 1e-9 * max(abs(low), abs(high))) or 0.5  # a constant column has a width, too
        ends += [low - room, high + room]
    x = raw.nanmedian(0).values.repeat(side * side, 1)
    x[:, places[0]] = torch.linspace(*ends[:2], side, dtype=x.dtype).repeat(side)
    x[:, places[1]] = torch.linspace(*ends[2:], side, dtype=x.dtype).repeat_interleave(side)
    return Plane(
        (names[places[0]], names[places[1]]), x.to(data.examples.x.dtype), tuple(ends), side=side, places=places
    )


def draw_surface(model, data, of: Plane, title: str):
    """The answer over the plane, and rows of the data on it: a probability, a class, or a value."""
    preds = predict(model, data, of.x)
    fig = figure(5.2, 4.4)
    axes = fig.add_axes((0.12, 0.11, 0.7, 0.78))
    look = {"extent": of.extent, "origin": "lower", "aspect": "auto", "interpolation": "bilinear"}
    raw, y = data.examples.x, data.examples.y
    some = torch.linspace(0, len(raw) - 1, min(POINTS, len(raw))).long()
    points, y = raw[some][:, list(of.places)], y[some]
    names = [plain(name, 24) for name in data.examples.class_names]
    if data.examples.task == "multiclass":
        colours = torch.tensor([pale(COLOURS[k % len(COLOURS)]) for k in range(preds.shape[1])])
        axes.imshow((preds @ colours).clamp(0, 1).view(of.side, of.side, 3).numpy(), **look)
        _points(axes, points, y, names=names)
    else:
        value = preds[:, 0].view(of.side, of.side).numpy()
        two = data.examples.task in ("binary", "multilabel")
        limits = {"vmin": 0, "vmax": 1, "cmap": diverging()} if two else {"cmap": "viridis"}
        image = axes.imshow(value, **look, **limits)
        bar = fig.colorbar(image, cax=fig.add_axes((0.85, 0.11, 0.03, 0.78)))
        bar.set_label(f"probability of {names[-1]}" if two else "prediction")
        if two:
            axes.contour(value, levels=[0.5], colors="black", linewidths=1, extent=of.extent)
            _points(axes, points, y[:, 0].long(), names=names)
        else:
            colours = {"c": y[:, 0], "cmap": "viridis", "vmin": image.norm.vmin, "vmax": image.norm.vmax}
            axes.scatter(*points.T, s=12, edgecolors="white", linewidths=0.4, **colours)
    axes.set(xlabel=plain(of.names[0]), ylabel=plain(of.names[1]), title=title, xlim=of.extent[:2], ylim=of.extent[2:])
    axes.ticklabel_format(scilimits=(-3, 4))  # of an income of 20,000 the ticks would push the axis' name out
    return fig


def draw_plane(model, data, of: Plane, title: str):
    """The surface of a regression in space, over its two inputs, and rows of the data above and below it."""
    height = predict(model, data, of.x)[:, 0].view(of.side, of.side)
    x, y = (of.x[:, place].view(of.side, of.side) for place in of.places)
    fig = figure(5.2, 4.4)
    axes = fig.add_axes((0.0, 0.04, 0.9, 0.86), projection="3d")
    axes.plot_surface(x.numpy(), y.numpy(), height.numpy(), cmap="viridis", alpha=0.6, linewidth=0)
    raw, target = data.examples.x, data.examples.y
    some = torch.linspace(0, len(raw) - 1, min(POINTS, len(raw))).long()
    axes.scatter(*raw[some][:, list(of.places)].T, target[some, 0], s=8, color=COLOURS[1], depthshade=False)
    axes.set(xlabel=plain(of.names[0]), ylabel=plain(of.names[1]), zlabel="prediction", title=title)
    return fig


def draw_curve(model, data, title: str):
    """The answer over the range of the only input, a value or a probability, and rows of the data."""
    raw, y, names = data.examples.x, data.examples.y, data.examples.columns or ["x"]
    x = torch.linspace(raw[~raw.isnan()].min(), raw[~raw.isnan()].max(), 400, dtype=raw.dtype)[:, None]
    some = torch.linspace(0, len(raw) - 1, min(POINTS, len(raw))).long()
    fig = figure(5.2, 3.8)
    axes = fig.add_axes((0.13, 0.13, 0.84, 0.77))
    axes.plot(raw[some, 0], y[some, 0], **scatter_style(len(some)))
    axes.plot(x[:, 0], predict(model, data, x)[:, 0], color=COLOURS[1], linewidth=2)
    binary = data.examples.task == "binary"
    label = f"probability of {plain(data.examples.class_names[-1])}" if binary else "target"
    axes.set(xlabel=plain(names[0]), ylabel=label, title=title)
    return fig


def draw_neurons(model, data, of: Plane, title: str):
    """Maps of the first and the last hidden layer's outputs over the plane; None without a hidden layer."""
    layers = hidden(model, apply_transform(of.x, data.transform))
    if not layers:
        return None
    shown = {"first hidden layer": layers[0]} | ({"last hidden layer": layers[-1]} if len(layers) > 1 else {})
    columns = [math.ceil(min(MOST_NEURONS, layer.shape[1]) / 4) for layer in shown.values()]
    fig = figure(max(4.2, 1.0 + 0.65 * sum(columns)), 3.3)  # the title needs its room
    left = 0.3
    for (name, layer), number in zip(shown.items(), columns, strict=True):
        width = 0.65 * number
        axes = fig.add_axes((left / fig.get_figwidth(), 0.03, width / fig.get_figwidth(), 0.77))
        axes.imshow(
            mosaic(layer.T[:MOST_NEURONS].view(-1, of.side, of.side).flip(1), 4).numpy(), cmap="viridis", aspect="auto"
        )
        axes.set_axis_off()
        more = f", {MOST_NEURONS} of {layer.shape[1]}" if layer.shape[1] > MOST_NEURONS else ""
        axes.set_title(f"{name}{more}", loc="left")
        left += width + 0.3
    right, up = (plain(name, 16) for name in of.names)
    fig.text(0.3 / fig.get_figwidth(), 0.94, f"{title}; {right} to the right, {up} upwards", fontsize=8)
    return fig


def hidden(model, x: Tensor) -> list[Tensor]:
    """Outputs (N, units) of the hidden layers of scaled inputs: what linear layers are given that is not the inputs."""
    linear, found = [m for m in model.modules() if isinstance(m, nn.Linear)], []
    hooks = [m.register_forward_pre_hook(lambda _, given: found.append(given[0].float().cpu())) for m in linear]
    try:
        logits_of(model, x, batch_size=len(x))
    finally:
        for hook in hooks:
            hook.remove()
    return [layer for layer in found if not torch.equal(layer, for_model(model, x).float().cpu().flatten(1))]


def mosaic(maps: Tensor, rows: int, gap: int = 4) -> Tensor:
    """Maps (K, H, W), each scaled to 0 to 1, side by side in so many rows; between them is NaN."""
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


def _points(axes, points: Tensor, y: Tensor, names: list[str]) -> None:
    for k, name in enumerate(names):
        look = {"color": COLOURS[k % len(COLOURS)], "edgecolors": "white", "linewidths": 0.4}
        axes.scatter(*points[y == k].T, s=12, label=name, **look)
    if len(names) <= 10:
        axes.legend(fontsize=7, loc="upper right", framealpha=0.8)
