"""effects.png: a panel for every option and a map of the two strongest ones, in colour-blind safe colours."""

import io
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kindling.plots.style import COLOURS, plain
from kindling.sweeps.leaderboard.board import Board
from kindling.sweeps.leaderboard.effects.estimate import Effect, clipped, effects, noise, robust_limits
from kindling.sweeps.leaderboard.effects.pair_plot import draw_pair
from kindling.sweeps.leaderboard.effects.ticks import MAX_TICKS, place, scale_of
from kindling.sweeps.leaderboard.significance import repetitions

MAX_PANELS = 6
DARK, FAINT, LOST = "#0b2a5b", "#7f9fca", COLOURS[1]


def png(board: Board) -> bytes:
    content = io.BytesIO()
    draw(board).savefig(content, format="png")
    return content.getvalue()


def draw(board: Board) -> Figure:
    """Draw the panels, strongest option first, in up to three columns, and below them the two strongest options."""
    limits = _range([score for row in board.rows for score in row.scores], board.mode)
    found = effects(board, limits)
    shown, pair = found[:MAX_PANELS], sorted(found[:2], key=lambda effect: len(effect.scores)) if found[1:] else []
    columns = {1: 1, 2: 2, 4: 2}.get(len(shown), 3)
    heights = [3.0] * -(-len(shown) // columns) + [1.5 + 0.45 * min(len(e.scores), 12) for e in pair[:1]]  # inches
    width = max(6.5, 4.2 * columns, *(2 + 0.65 * min(len(e.scores), MAX_TICKS) for e in pair))
    sentences, handles = _caption(board, limits, len(found) - len(shown)), _legend(board, limits)
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, int(14 * width))]  # 14 letters per inch
    text = 0.4 + 0.18 * (len(lines) + len(handles))
    figure = Figure(figsize=(width, text + sum(heights)), dpi=100, layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    figure.suptitle("\n".join(lines), fontsize=9)
    figure.legend(handles=handles, loc="outside lower left", fontsize=9, frameon=False)
    low, high = _ends(board, shown)
    for i, effect in enumerate(shown):
        axes = figure.add_subplot(grid[i // columns, i % columns])
        axes.set_ylim(low, high)
        axes.tick_params(labelleft=i % columns == 0)
        axes.set_ylabel(plain(board.metric) if i % columns == 0 else "")
        _panel(axes, effect, {value: _beyond(board, effect.option, value, limits=limits) for value in effect.scores})
        _mark_lost(axes, effect, board.mode)
        axes.set_title(_title(effect), fontsize=10)
    if pair:
        draw_pair(figure, figure.add_subplot(grid[-1, :]), board, *pair)
    return figure


def _range(scores: list[float], mode: str) -> tuple[float, float]:
    """Return the range of scores that is drawn, with a gap before scores that are far worse than all others."""
    low, high = robust_limits(scores, mode)
    gap = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
    return low - gap * (min(scores) < low), high + gap * (max(scores) > high)


def _ends(board: Board, shown: list[Effect]) -> tuple[float, float]:
    """Return the limits of the score axis, with room at the worse end for the crosses of jobs without a score."""
    points = [score for effect in shown for scores in effect.scores.values() for score in scores]
    bars = [m + sign * e.stds[v] for e in shown for v, m in e.means.items() for sign in (-1, 1)]
    low, high = min(*points, *bars), max(*points, *bars)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    below, above = (3, 1) if board.mode == "max" else (1, 3)
    return (low - below * margin, high + above * margin) if board.unranked else (low - margin, high + margin)


def _caption(board: Board, limits: tuple[float, float], left_out: int) -> list[str]:
    """Return the lines above the panels: what they show, and what the percentages are."""
    metric, share = plain(board.metric), noise(board, limits)
    better = "higher" if board.mode == "max" else "lower"
    lines = [
        f"Effect of each swept option on {metric} ({better} is better)",
        f"Percentage: share of the variance of {metric} over all jobs that the option explains.",
        f"Differences between {repetitions(board)} of the same variant explain {share:.0%} (noise)."
        if share is not None
        else "The noise between seeds is unknown, because each variant was trained once (repeat=5 would show it).",
    ]
    return [*lines, f"Weaker options that are not shown: {left_out}."] if left_out else lines


def _legend(board: Board, limits: tuple[float, float]) -> list[Line2D]:
    pairs = [(score, kept) for row in board.rows for score, kept in zip(row.scores, clipped(row, limits), strict=True)]
    outside = sum(score != kept for score, kept in pairs)
    mean = "mean of the jobs with that value; the bar is their standard deviation"
    entries = [("o", FAINT, 4, "one job, i.e. one training run"), ("s", DARK, 6, mean)]
    if outside:
        far = f"score far outside the axis ({outside} in all); drawn, and included in means, at the edge"
        entries.append(("^", FAINT, 5, far))
    if board.unranked:
        lost = f"jobs without a score ({_ends_of_unranked(board)}) and their number; not included in the percentages"
        entries.append(("x", LOST, 7, lost))
    return [Line2D([], [], marker=m, color=c, markersize=s, ls="none", label=text) for m, c, s, text in entries]


def _ends_of_unranked(board: Board) -> str:
    """Describe how the jobs without a score ended."""
    ends = [job.status if job.status != "finished" else "undefined" for job in board.unranked]
    return ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))


def _title(effect: Effect) -> str:
    name = plain(effect.option, 24)
    if effect.strength is None:
        why = "only one value has a score" if len(effect.scores) == 1 else "too few jobs per value for a percentage"
        return f"{name}: {why}"
    return f"{name}: explains {effect.strength:.0%} of the variance"


def _beyond(board: Board, option: str, value: str, limits: tuple[float, float]) -> np.ndarray:
    """Return for each job with that value -1 if its score is below the limits, 1 if above, and 0 otherwise."""
    scores = np.array([score for row in board.rows if row.options[option] == value for score in row.scores])
    return (scores > limits[1]).astype(int) - (scores < limits[0])


def _panel(axes: Axes, effect: Effect, beyond: dict[str, np.ndarray]) -> None:
    random = np.random.default_rng(0)  # jitter, so that dots do not hide each other
    at, jitter = place(axes.xaxis, effect.values), 0.0 if scale_of(effect.values) else 0.16
    for value, scores in effect.scores.items():
        x = at[value] + random.uniform(-jitter, jitter, len(scores)) * (len(scores) > 1)
        for side, marker in ((0, "o"), (1, "^"), (-1, "v")):
            chosen, alpha, size = beyond[value] == side, 0.6 if side == 0 else 1.0, 4 + abs(side)
            y = np.array(scores)[chosen]
            axes.plot(x[chosen], y, marker, markeredgewidth=0, color=FAINT, alpha=alpha, markersize=size)
    if effect.strength is not None or not scale_of(effect.values):
        places, means, stds = [at[v] for v in effect.scores], list(effect.means.values()), list(effect.stds.values())
        axes.errorbar(places, means, stds, fmt="s", color=DARK, markersize=6, capsize=3, linewidth=1.4)
    axes.grid(axis="y", alpha=0.3)


def _mark_lost(axes: Axes, effect: Effect, mode: str) -> None:
    """Mark values that have jobs without a score by a cross and their number, at the worse edge."""
    at, y = place(axes.xaxis, effect.values), 0.06 if mode == "max" else 0.94
    transform = axes.get_xaxis_transform()
    for value, number in effect.lost.items():
        axes.plot(at[value], y, "x", markersize=7, markeredgewidth=2, transform=transform, color=LOST)
        if not scale_of(effect.values) or number > 1:
            axes.annotate(f"{number}", (at[value], y), (6, 0), xycoords=transform, textcoords="offset points",
                          va="center", fontsize=9, color=LOST)  # fmt: skip
