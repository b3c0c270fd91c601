"""effects.png: a panel for every knob, and a map of the two strongest. Colours are told apart by colour-blind eyes."""

import io
import statistics

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from kindling.leaderboard.board import Board
from kindling.leaderboard.effects import Effect, effects, in_order, marginal

MOST_PANELS = 6
MOST_TICKS = 14  # values with a label; of more, some
DARK, FAINT = "#0b2a5b", "#7f9fca"


def png(board: Board) -> bytes:
    content = io.BytesIO()
    draw(board).savefig(content, format="png")
    return content.getvalue()


def draw(board: Board) -> Figure:
    """Panels three in a row, the map of two knobs below them."""
    found = effects(board.rows)
    shown, pair = found[:MOST_PANELS], found[:2] if len(found) > 1 else []
    columns = min(3, max(len(shown), 2 if pair else 1))
    lines = -(-len(shown) // columns)
    map_height = 1.6 + 0.42 * min(len(pair[0].scores), 12) if pair else 0
    height = 0.9 + 3.0 * lines + map_height
    figure = Figure(figsize=(max(6.5, 4.2 * columns), height), dpi=100, layout="constrained")
    grid = figure.add_gridspec(lines + bool(pair), columns, height_ratios=[3.0] * lines + [map_height] * bool(pair))
    better = "higher" if board.mode == "max" else "lower"
    left_out = f"; {len(found) - len(shown)} weaker knobs are not shown" if len(found) > len(shown) else ""
    figure.suptitle(
        f"{board.metric} ({better} is better) by the value of each knob: a dot is a variant, the square their mean, "
        f"the bar its standard deviation{left_out}",
        fontsize=10, wrap=True,
    )  # fmt: skip
    limits = robust_limits([row.mean for row in board.rows])
    for i, effect in enumerate(shown):
        axes = figure.add_subplot(grid[i // columns, i % columns])
        _panel(axes, effect, limits, board.metric if i % columns == 0 else "")
    if pair:
        _map(figure, figure.add_subplot(grid[lines, :]), board, *pair)
    return figure


def robust_limits(values: list[float]) -> tuple[float, float]:
    """The range of the values without far outliers: at most three quartile ranges beyond the quartiles (Tukey 1977)."""
    if len(values) < 4:
        return min(values), max(values)
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    reach = 3 * (third - first) or float("inf")
    inside = [value for value in values if first - reach <= value <= third + reach]
    return min(inside), max(inside)


def _panel(axes, effect: Effect, limits: tuple[float, float], label: str) -> None:
    low, high = limits
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)
    outside = 0
    random = np.random.default_rng(0)  # so that dots do not hide each other
    for place, scores in enumerate(effect.scores.values()):
        at = place + random.uniform(-0.16, 0.16, len(scores)) * (len(scores) > 1)
        seen = np.clip(scores, low - 0.7 * margin, high + 0.7 * margin)
        beyond = seen != np.array(scores)
        outside += int(beyond.sum())
        axes.plot(at[~beyond], seen[~beyond], "o", color=FAINT, alpha=0.55, markersize=4, markeredgewidth=0)
        up = seen > low
        for marker, chosen in (("^", beyond & up), ("v", beyond & ~up)):
            axes.plot(at[chosen], seen[chosen], marker, color=FAINT, markersize=5, markeredgewidth=0)
    means, stds = list(effect.means.values()), list(effect.stds.values())
    axes.errorbar(range(len(means)), means, stds, fmt="s", color=DARK, markersize=6, capsize=3, linewidth=1.4)
    _ticks(axes.set_xticks, list(effect.scores), most_letters=30)
    axes.set_xlim(-0.6, len(means) - 0.4)
    strength = "" if effect.strength is None else f" explains {effect.strength:.0%} of the variance"
    axes.set_title(f"{effect.knob}{strength}", fontsize=10)
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    if outside:
        axes.set_xlabel(f"triangles: {outside} far outside, at the edge", fontsize=8)


def _map(figure: Figure, axes, board: Board, one: Effect, other: Effect) -> None:
    """Mean over the other knobs of every pair of values, the best framed."""
    cells = marginal(board.rows, lambda row: (row.knobs[one.knob], row.knobs[other.knob]))
    rows, columns = in_order(list(one.scores)), in_order(list(other.scores))
    means = np.array([[np.mean(cells.get((r, c), np.nan)) for c in columns] for r in rows])
    low, high = robust_limits(means[~np.isnan(means)].tolist())
    colours = colormaps["viridis" if board.mode == "max" else "viridis_r"]
    image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    cut = bool(np.nanmin(means) < low), bool(np.nanmax(means) > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(cut, "neither")
    bar = figure.colorbar(image, ax=axes, extend=extend, pad=0.01)
    bar.set_label(board.metric)
    best = np.unravel_index((np.nanargmax if board.mode == "max" else np.nanargmin)(means), means.shape)
    if len(columns) <= MOST_TICKS and len(rows) <= MOST_TICKS:
        for (i, j), mean in np.ndenumerate(means):
            red, green, blue, _ = colours(image.norm(mean))
            bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.55
            text = "" if np.isnan(mean) else f"{mean:.3g}"
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color="black" if bright else "white")
    frame = {"fill": False, "edgecolor": "black", "linewidth": 2.5, "clip_on": False}
    axes.add_patch(type(axes.patch)((best[1] - 0.5, best[0] - 0.5), 1, 1, **frame))
    _ticks(axes.set_xticks, columns, most_letters=100)
    _ticks(axes.set_yticks, rows)
    note = "; colours end before far outliers" if any(cut) else ""
    axes.set_title(f"{one.knob} and {other.knob}: mean over the rest, the best framed{note}", fontsize=10)
    axes.set(xlabel=other.knob, ylabel=one.knob)


def _ticks(set_ticks, values: list[str], most_letters: int | None = None) -> None:
    """Labels of the values, of many every second or third, slanted where they would not fit side by side."""
    step = -(-len(values) // MOST_TICKS)
    places = range(0, len(values), step)
    names = [_short(values[i]) for i in places]
    slanted = most_letters and sum(map(len, names)) + 2 * len(names) > most_letters
    look = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    set_ticks(places, names, fontsize=9, **look)


def _short(value: str) -> str:
    value = value or "not given"
    return value if len(value) <= 18 else value[:8] + "…" + value[-9:]
