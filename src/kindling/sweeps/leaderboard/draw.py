"""effects.png: a panel for every option, and a map of the two strongest, in colours for colour-blind eyes."""

import io

import numpy as np
from matplotlib.figure import Figure

from kindling.plots.style import COLOURS, plain
from kindling.sweeps.leaderboard.board import Board
from kindling.sweeps.leaderboard.effects import Effect, effects, held, noise, robust_limits
from kindling.sweeps.leaderboard.pair_plot import draw_pair
from kindling.sweeps.leaderboard.significance import repetitions
from kindling.sweeps.leaderboard.ticks import MOST_TICKS, place, scale_of

MOST_PANELS = 6
DARK, FAINT, LOST = "#0b2a5b", "#7f9fca", COLOURS[1]


def png(board: Board) -> bytes:
    content = io.BytesIO()
    draw(board).savefig(content, format="png")
    return content.getvalue()


def draw(board: Board) -> Figure:
    """Draw panels, two or three in a row, the strongest option first; below them the map of the two strongest."""
    limits = _range([score for row in board.rows for score in row.scores], board.mode)
    found = effects(board, limits)
    shown, pair = found[:MOST_PANELS], sorted(found[:2], key=lambda effect: len(effect.scores)) if found[1:] else []
    columns = {1: 1, 2: 2, 4: 2}.get(len(shown), 3)
    heights = [3.0] * -(-len(shown) // columns) + [1.5 + 0.45 * min(len(e.scores), 12) for e in pair[:1]]  # inches
    width = max(6.5, 4.2 * columns, *(2 + 0.65 * min(len(e.scores), MOST_TICKS) for e in pair))
    lines = _caption(board, limits, len(found) - len(shown))
    figure = Figure(figsize=(width, 0.4 + 0.18 * len(lines) + sum(heights)), dpi=100, layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    figure.suptitle("\n".join(lines), fontsize=9)
    low, high = _ends(board, shown)
    for i, effect in enumerate(shown):
        axes = figure.add_subplot(grid[i // columns, i % columns])
        axes.set_ylim(low, high)
        axes.tick_params(labelleft=i % columns == 0)
        axes.set_ylabel(plain(board.metric) if i % columns == 0 else "")
        _panel(axes, effect, {value: _beyond(board, effect.option, value, limits=limits) for value in effect.scores})
        _mark_lost(axes, effect, board.mode)
        axes.set_title(_title(effect, noise(board, limits)), fontsize=10)
    if pair:
        draw_pair(figure, figure.add_subplot(grid[-1, :]), board, *pair)
    return figure


def _range(scores: list[float], mode: str) -> tuple[float, float]:
    """What is drawn; where variants are far worse than all others, with a gap between those and the others."""
    low, high = robust_limits(scores, mode)
    gap = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
    return low - gap * (min(scores) < low), high + gap * (max(scores) > high)


def _ends(board: Board, shown: list[Effect]) -> tuple[float, float]:
    """Return the ends of the axis of scores, with room for the marks of what has none at the worse end."""
    points = [score for effect in shown for scores in effect.scores.values() for score in scores]
    bars = [m + sign * e.stds[v] for e in shown for v, m in e.means.items() for sign in (-1, 1)]
    low, high = min(*points, *bars), max(*points, *bars)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    below, above = (3, 1) if board.mode == "max" else (1, 3)
    return (low - below * margin, high + above * margin) if board.unranked else (low - margin, high + margin)


def _caption(board: Board, limits: tuple[float, float], left_out: int) -> list[str]:
    """Return what is to be seen, a line each."""
    pairs = [(score, kept) for row in board.rows for score, kept in zip(row.scores, held(row, limits), strict=True)]
    outside, share = sum(score != kept for score, kept in pairs), noise(board, limits)
    lines = [
        f"{plain(board.metric)} for each value of the swept options, {_better(board)} is better",
        "Dot: a job. Square and bar: mean and standard deviation of the jobs with that value.",
        f"Percentages: shares of the variance of all {len(pairs)} scores.",
        f"Noise: differences between {repetitions(board)} of the same variant, {share:.0%} of the variance."
        if share is not None
        else "Noise between seeds is unknown, because each variant was trained once (repeat=5 shows it).",
    ]
    if outside:
        lines.append(f"Triangle: a score far outside ({outside}), which counts as where it stands.")
    if board.unranked:
        lines.append(f"Cross: jobs without a score ({_why(board)}), not in the percentages.")
    return [*lines, f"Weaker options, not shown: {left_out}."] if left_out else lines


def _better(board: Board) -> str:
    return "higher" if board.mode == "max" else "lower"


def _why(board: Board) -> str:
    """Return how the jobs without a score ended."""
    ends = [job.status if job.status != "finished" else "undefined" for job in board.unranked]
    return ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))


def _title(effect: Effect, share: float | None) -> str:
    name = plain(effect.option, 24)
    if effect.strength is None:
        return f"{name}: {'only one value has a score' if len(effect.scores) == 1 else 'too many values for a share'}"
    noise_too = "noise unknown" if share is None else f"noise {share:.0%}"
    return f"{name}: {effect.strength:.0%} of the variance ({noise_too})"


def _beyond(board: Board, option: str, value: str, limits: tuple[float, float]) -> np.ndarray:
    """For each job with that value return -1 for a score below the limits, 1 for above, 0 for within."""
    scores = np.array([score for row in board.rows if row.options[option] == value for score in row.scores])
    return (scores > limits[1]).astype(int) - (scores < limits[0])


def _panel(axes, effect: Effect, beyond: dict[str, np.ndarray]) -> None:
    random = np.random.default_rng(0)  # aside, so that dots do not hide each other
    at, aside = place(axes.xaxis, effect.values), 0.0 if scale_of(effect.values) else 0.16
    for value, scores in effect.scores.items():
        x = at[value] + random.uniform(-aside, aside, len(scores)) * (len(scores) > 1)
        for side, marker in ((0, "o"), (1, "^"), (-1, "v")):
            chosen = beyond[value] == side
            look = {"color": FAINT, "alpha": 0.6 if side == 0 else 1, "markersize": 4 + abs(side)}
            axes.plot(x[chosen], np.array(scores)[chosen], marker, markeredgewidth=0, **look)
    if effect.strength is not None or not scale_of(effect.values):
        places, means, stds = [at[v] for v in effect.scores], list(effect.means.values()), list(effect.stds.values())
        axes.errorbar(places, means, stds, fmt="s", color=DARK, markersize=6, capsize=3, linewidth=1.4)
    axes.grid(axis="y", alpha=0.3)


def _mark_lost(axes, effect: Effect, mode: str) -> None:
    """Mark the values of jobs without a score at the worse edge, with their number."""
    at, y = place(axes.xaxis, effect.values), 0.06 if mode == "max" else 0.94
    for value, number in effect.lost.items():
        look = {"transform": axes.get_xaxis_transform(), "color": LOST}
        axes.plot(at[value], y, "x", markersize=7, markeredgewidth=2, **look)
        if not scale_of(effect.values) or number > 1:
            axes.annotate(f"{number}", (at[value], y), (6, 0), xycoords=look["transform"], textcoords="offset points",
                          va="center", fontsize=9, color=LOST)  # fmt: skip
