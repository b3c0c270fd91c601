"""What each swept knob does to the score: marginal means, and how much of the differences they explain."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kindling.leaderboard.board import Board, Row


@dataclass
class Effect:
    """A knob's values in order, the scores of the variants that have each, and the strength of the whole."""

    knob: str
    scores: dict[str, list[float]]
    strength: float | None  # 0 to 1; None where every variant has a value of its own

    @property
    def means(self) -> dict[str, float]:
        return {value: statistics.fmean(scores) for value, scores in self.scores.items()}

    @property
    def stds(self) -> dict[str, float]:
        """The samples'; 0 of a single variant."""
        return {value: statistics.stdev(s) if len(s) > 1 else 0.0 for value, s in self.scores.items()}


def effects(board: Board, limits: tuple[float, float] = (-math.inf, math.inf)) -> list[Effect]:
    """Of every swept knob, the strongest first: by the share of the variance that its marginal means explain.

    A score outside the limits counts as the limit: one that is 1e5 times the others would be all the variance.
    """
    found = []
    for knob in board.knobs:
        scores = marginal(board.rows, lambda row, knob=knob: row.knobs[knob])
        values = in_order(dict.fromkeys(job.knobs.get(knob, "") for job in board.jobs))
        held = {v: [min(max(score, limits[0]), limits[1]) for score in scores[v]] for v in values if v in scores}
        found.append(Effect(knob, held, None if len(held) == len(board.rows) else _explained(held)))
    return sorted(found, key=lambda effect: -1.0 if effect.strength is None else effect.strength, reverse=True)


def marginal(rows: list[Row], key: Callable[[Row], object]) -> dict:
    """Scores of the variants by what `key` says of them; the mean of each list is a marginal mean."""
    found: dict = {}
    for row in rows:
        found.setdefault(key(row), []).append(row.mean)
    return found


def robust_limits(values: Sequence[float], mode: str) -> tuple[float, float]:
    """Lowest and highest of the values that are not far worse than the others.

    Far worse: by over three quartile ranges than the worst quarter (Tukey 1977); and, as half of a sweep may diverge,
    by over 30 quartile ranges of the better half, and five times its size, than that half.
    """
    sign = -1 if mode == "max" else 1
    losses = np.sort(sign * np.asarray(values, dtype=float))
    first, third = np.quantile(losses[: (len(losses) + 1) // 2], [0.25, 0.75])
    worst = third + max(30 * (third - first), 5 * abs(third))
    first, third = np.quantile(losses, [0.25, 0.75])
    if len(losses) > 3 and third > first:
        worst = min(worst, third + 3 * (third - first))
    ends = sign * losses[0], sign * losses[losses <= worst][-1]
    return float(min(ends)), float(max(ends))


def in_order(values: Sequence[str]) -> list[str]:
    """Numbers by size, then words as they come."""
    return sorted(values, key=lambda value: (_number(value) is None, _number(value) or 0.0))


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _explained(scores: dict[str, list[float]]) -> float:
    """Squares between the values over all squares."""
    every = [score for group in scores.values() for score in group]
    mean = statistics.fmean(every)
    total = sum((score - mean) ** 2 for score in every)
    between = sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in scores.values())
    same = max(every) - min(every) <= 1e-12 * max(map(abs, every))  # up to rounding
    return 0.0 if same else between / total
