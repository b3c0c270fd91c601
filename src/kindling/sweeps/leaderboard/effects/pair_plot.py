"""The lower part of effects.png: the score as a function of the two strongest options."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kindling.plots.style import plain
from kindling.sweeps.leaderboard.board import Board
from kindling.sweeps.leaderboard.effects.estimate import Effect, group_means, robust_limits
from kindling.sweeps.leaderboard.effects.ticks import MAX_TICKS, place, scale_of


def draw_pair(figure: Figure, axes: Axes, board: Board, one: Effect, other: Effect) -> None:
    """Draw `one` on the y-axis and `other` on the x-axis: a cell for each pair of values or, with many, a dot."""
    names, metric = f"{plain(one.option, 24)} and {plain(other.option, 24)}", plain(board.metric)
    if scale_of(list(one.scores)) or scale_of(list(other.scores)):
        image, cut = _dots(axes, board, one, other=other)
        title = f"{names}: each dot is a variant, coloured by its mean {metric} (black ring: best variant)"
    else:
        image, cut = _cells(axes, board, one, other=other)
        title = f"{names}: mean {metric} for each pair of values (black frame: best pair)"
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(cut, "neither")
    figure.colorbar(image, ax=axes, extend=extend, pad=0.01).set_label(f"mean {metric}")
    axes.set_title(f"{title}{'; the colour scale excludes far outliers' if any(cut) else ''}", fontsize=10)
    axes.set(xlabel=plain(other.option), ylabel=plain(one.option))


def _dots(axes: Axes, board: Board, one: Effect, other: Effect) -> tuple[ScalarMappable, tuple[bool, bool]]:
    x, y = place(axes.xaxis, list(other.scores)), place(axes.yaxis, list(one.scores))
    points = np.array([[x[row.options[other.option]], y[row.options[one.option]], row.mean] for row in board.rows])
    colours, low, high, cut = _colours(points[:, 2], board.mode)
    image = axes.scatter(points[:, 0], points[:, 1], c=points[:, 2], s=45, cmap=colours, vmin=low, vmax=high)
    image.set(edgecolors="#666666", linewidths=0.5)
    axes.plot(*points[0, :2], "o", markersize=13, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2)
    return image, cut


def _cells(axes: Axes, board: Board, one: Effect, other: Effect) -> tuple[ScalarMappable, tuple[bool, bool]]:
    cells = group_means(board.rows, lambda row: (row.options[one.option], row.options[other.option]))
    means = np.array([[np.mean(cells.get((r, c), np.nan)) for c in other.scores] for r in one.scores])
    colours, low, high, cut = _colours(means[~np.isnan(means)], board.mode)
    image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_facecolor("#e6e6e6")  # shows where a pair has no variant
    if max(means.shape) <= MAX_TICKS:
        for (i, j), mean in np.ndenumerate(means):
            red, green, blue, _ = colours(image.norm(mean))
            text = "" if np.isnan(mean) else f"{mean:#.4g}".rstrip(".")
            bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.55
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color="black" if bright else "white")
    best = np.unravel_index((np.nanargmax if board.mode == "max" else np.nanargmin)(means), means.shape)
    axes.add_patch(Rectangle((best[1] - 0.5, best[0] - 0.5), 1, 1, fill=False, linewidth=2.5, clip_on=False))
    place(axes.xaxis, list(other.scores))
    place(axes.yaxis, list(one.scores))
    axes.set_xlim(-0.5, means.shape[1] - 0.5)
    return image, cut


def _colours(values: np.ndarray, mode: str) -> tuple[Colormap, float, float, tuple[bool, bool]]:
    """Return the colour map, its lowest and highest value, and whether there are values below and above these."""
    low, high = robust_limits(values, mode)
    spread = 0.0 if high > low else 1e-3 * abs(low) or 1.0  # widens the range of a single value
    low, high = low - spread, high + spread
    cut = bool(values.min() < low), bool(values.max() > high)
    return colormaps["viridis" if mode == "max" else "viridis_r"], low, high, cut
