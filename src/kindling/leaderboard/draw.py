"""effects.png: a panel for every knob, and a map of the two strongest. Colours are told apart by colour-blind eyes."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kindling.leaderboard.board import Board
from kindling.leaderboard.effects import Effect, effects, marginal, robust_limits

MOST_PANELS = 6
MOST_TICKS = 14  # values with a label; of more, some
DARK, FAINT = "#0b2a5b", "#7f9fca"


def png(board: Board) -> bytes:
    content = io.BytesIO()
    draw(board).savefig(content, format="png")
    return content.getvalue()


def draw(board: Board) -> Figure:
    """Panels, two or three in a row, the strongest knob first; below them the map of the two strongest."""
    scores = [row.mean for row in board.rows]
    low, high = _range(scores, board.mode)
    found = effects(board, (low, high))
    shown, pair = found[:MOST_PANELS], sorted(found[:2], key=lambda effect: len(effect.scores)) if found[1:] else []
    columns = {1: 1, 2: 2, 4: 2}.get(len(shown), 3)
    heights = [3.0] * -(-len(shown) // columns) + [1.5 + 0.45 * min(len(e.scores), 12) for e in pair[:1]]  # inches
    width = max(6.5, 4.2 * columns, *(2 + 0.65 * min(len(e.scores), MOST_TICKS) for e in pair))
    figure = Figure(figsize=(width, 0.9 + sum(heights)), dpi=100, layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    figure.suptitle(_caption(board, len(found) - len(shown), sum(not low <= s <= high for s in scores)), fontsize=10)
    ends = [
        m + sign * s for e in shown for m, s in zip(e.means.values(), e.stds.values(), strict=True) for sign in (-1, 1)
    ]
    margin = 0.05 * (max(high, *ends) - min(low, *ends)) or 0.05 * abs(high) or 1.0
    for i, effect in enumerate(shown):
        axes = figure.add_subplot(grid[i // columns, i % columns])
        axes.set_ylim(min(low, *ends) - margin, max(high, *ends) + margin)
        axes.tick_params(labelleft=i % columns == 0)
        axes.set_ylabel(board.metric if i % columns == 0 else "")
        beyond = {value: _beyond(board, effect.knob, value, low, high) for value in effect.scores}
        _panel(axes, effect, beyond)
    if pair:
        _map(figure, figure.add_subplot(grid[-1, :]), board, *pair)
    return figure


def _range(scores: list[float], mode: str) -> tuple[float, float]:
    """What is drawn; where variants are far worse than all others, with a gap between those and the others."""
    low, high = robust_limits(scores, mode)
    gap = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
    return low - gap * (min(scores) < low), high + gap * (max(scores) > high)


def _caption(board: Board, left_out: int, outside: int) -> str:
    lines = [
        f"{board.metric} ({'higher' if board.mode == 'max' else 'lower'} is better) by the value of each knob",
        "dot: a variant; square and bar: their mean and standard deviation",
    ]
    lines += [f"triangle: far worse than it stands there, and counted as if it were there ({outside} variants)"] * (
        outside > 0
    )
    lines += [f"weaker knobs left out: {left_out}"] * (left_out > 0)
    return "\n".join(lines)


def _beyond(board: Board, knob: str, value: str, low: float, high: float) -> np.ndarray:
    """Of the variants with that value, -1 for below the range, 1 for above, 0 for within."""
    scores = np.array([row.mean for row in board.rows if row.knobs[knob] == value])
    return (scores > high).astype(int) - (scores < low)


def _panel(axes, effect: Effect, beyond: dict[str, np.ndarray]) -> None:
    random = np.random.default_rng(0)  # aside, so that dots do not hide each other
    for place, (value, scores) in enumerate(effect.scores.items()):
        at = place + random.uniform(-0.16, 0.16, len(scores)) * (len(scores) > 1)
        for side, marker in ((0, "o"), (1, "^"), (-1, "v")):
            chosen = beyond[value] == side
            look = {"color": FAINT, "alpha": 0.6 if side == 0 else 1, "markersize": 4 + abs(side)}
            axes.plot(at[chosen], np.array(scores)[chosen], marker, markeredgewidth=0, **look)
    places, means, stds = range(len(effect.scores)), list(effect.means.values()), list(effect.stds.values())
    axes.errorbar(places, means, stds, fmt="s", color=DARK, markersize=6, capsize=3, linewidth=1.4)
    _ticks(axes.set_xticks, list(effect.scores), most_letters=30)
    axes.set_xlim(-0.6, len(means) - 0.4)
    strength = "" if effect.strength is None else f" explains {effect.strength:.0%} of the variance"
    axes.set_title(f"{effect.knob}{strength}", fontsize=10)
    axes.grid(axis="y", alpha=0.3)


def _map(figure: Figure, axes, board: Board, one: Effect, other: Effect) -> None:
    """Mean over the other knobs of every pair of values, the best framed; `one` downwards, `other` to the right."""
    cells = marginal(board.rows, lambda row: (row.knobs[one.knob], row.knobs[other.knob]))
    means = np.array([[np.mean(cells.get((r, c), np.nan)) for c in other.scores] for r in one.scores])
    low, high = robust_limits(means[~np.isnan(means)], board.mode)
    spread = 0.0 if high > low else 1e-3 * abs(low) or 1.0  # one value alone has no range of colours
    low, high = low - spread, high + spread
    colours = colormaps["viridis" if board.mode == "max" else "viridis_r"]
    image = axes.imshow(means, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_facecolor("#e6e6e6")  # of pairs without a variant
    cut = bool(np.nanmin(means) < low), bool(np.nanmax(means) > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(cut, "neither")
    figure.colorbar(image, ax=axes, extend=extend, pad=0.01).set_label(board.metric)
    if max(means.shape) <= MOST_TICKS:
        for (i, j), mean in np.ndenumerate(means):
            red, green, blue, _ = colours(image.norm(mean))
            text = "" if np.isnan(mean) else f"{mean:#.4g}".rstrip(".")
            bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.55
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color="black" if bright else "white")
    best = np.unravel_index((np.nanargmax if board.mode == "max" else np.nanargmin)(means), means.shape)
    axes.add_patch(Rectangle((best[1] - 0.5, best[0] - 0.5), 1, 1, fill=False, linewidth=2.5, clip_on=False))
    _ticks(axes.set_xticks, list(other.scores), most_letters=100)
    _ticks(axes.set_yticks, list(one.scores))
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
