"""Estimate the effect of each swept option on the score: means, and the shares of variance of options and noise."""

import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kindling.sweeps.leaderboard.board import Board, Row


@dataclass
class Effect:
    """The scores of the jobs with each value of an option, in the values' order.

    Args:
        scores: value -> its jobs' scores; only values with any.
        strength: the option's share of the variance of all scores, 0 to 1; None if it is meaningless because all jobs
            with a score have the same value, or there are on average fewer than two jobs per value.
        lost: value -> number of jobs without a score, which are left out of means and shares.
    """

    option: str
    scores: dict[str, list[float]]
    strength: float | None
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        return in_order(list(dict.fromkeys([*self.scores, *self.lost])))

    @property
    def means(self) -> dict[str, float]:
        return {value: statistics.fmean(scores) for value, scores in self.scores.items()}

    @property
    def stds(self) -> dict[str, float]:
        """Sample standard deviations; 0 for a single job."""
        return {value: statistics.stdev(s) if len(s) > 1 else 0.0 for value, s in self.scores.items()}


def effects(board: Board, limits: tuple[float, float] = (-math.inf, math.inf)) -> list[Effect]:
    """Return the effect of every swept option, the strongest first.

    Scores are clipped to the limits, because one that is 1e5 times the others would account for all the variance.
    """
    found = []
    for option in board.options:
        values = in_order(list(dict.fromkeys(job.options.get(option, "") for job in board.jobs)))
        rows = {value: [row for row in board.rows if row.options[option] == value] for value in values}
        rows = {value: some for value, some in rows.items() if some}
        scores = {value: [score for row in some for score in clipped(row, limits)] for value, some in rows.items()}
        lost = [job.options.get(option, "") for job in board.unranked]
        number = sum(map(len, scores.values()))
        strength = share_between(list(scores.values())) if 1 < len(scores) <= number / 2 else None
        found.append(
            Effect(option, scores, strength, lost={value: lost.count(value) for value in values if value in lost})
        )
    return sorted(found, key=lambda effect: -1.0 if effect.strength is None else effect.strength, reverse=True)


def noise(board: Board, limits: tuple[float, float] = (-math.inf, math.inf)) -> float | None:
    """Return the share of the variance of all scores that is within variants; None if no variant has repetitions."""
    groups = [clipped(row, limits) for row in board.rows]
    if all(len(group) == 1 for group in groups):
        return None
    return 0.0 if all_equal([score for group in groups for score in group]) else 1 - share_between(groups)


def clipped(row: Row, limits: tuple[float, float]) -> list[float]:
    """Return the scores of a variant's repetitions, clipped to the limits."""
    return [min(max(score, limits[0]), limits[1]) for score in row.scores]


def group_means(rows: list[Row], key: Callable[[Row], Hashable]) -> dict[Hashable, list[float]]:
    """Return key -> mean scores of the variants with that key; the mean of each list is a marginal mean."""
    found: dict[Hashable, list[float]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row.mean)
    return found


def robust_limits(values: Sequence[float] | np.ndarray, mode: str) -> tuple[float, float]:
    """Return the lowest and highest of the values that are not far worse than the others.

    Far worse is more than three interquartile ranges beyond the worse quartile (Tukey 1977). Because half of a sweep
    may diverge, it is also more than 30 interquartile ranges of the better half beyond that half's worse quartile, and
    more than five times its absolute value.
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
    """Return numbers sorted by size, then other values in the given order."""
    return sorted(values, key=lambda value: (number_of(value) is None, number_of(value) or 0.0))


def number_of(value: str) -> float | None:
    """Return the finite number that the text represents, or None."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def share_between(groups: list[list[float]]) -> float:
    """Return the between-group sum of squares over the total sum of squares; 0 if all scores are equal."""
    scores = [score for group in groups for score in group]
    if all_equal(scores):
        return 0.0
    mean = statistics.fmean(scores)
    total = sum((score - mean) ** 2 for score in scores)
    squares = sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in groups)
    return squares / total


def all_equal(values: list[float]) -> bool:
    """Return whether all values are equal up to rounding."""
    return max(values) - min(values) <= 1e-12 * max(map(abs, values))
