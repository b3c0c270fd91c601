"""What each swept option does to the score: means, and which share of the variance it and the noise account for."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kindling.sweeps.leaderboard.board import Board, Row


@dataclass
class Effect:
    """An option's values in order, and the scores of the jobs that have each.

    Args:
        scores: value -> its jobs' scores; only values that have any.
        strength: share of the variance of all scores, 0 to 1; None where that says nothing, because all jobs with a
            score have the same value, or there are fewer than two for each value on average.
        lost: value -> number of jobs without a score, which are in no mean and no share.
    """

    option: str
    scores: dict[str, list[float]]
    strength: float | None
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        return in_order(dict.fromkeys([*self.scores, *self.lost]))

    @property
    def means(self) -> dict[str, float]:
        return {value: statistics.fmean(scores) for value, scores in self.scores.items()}

    @property
    def stds(self) -> dict[str, float]:
        """The samples'; 0 of a single job."""
        return {value: statistics.stdev(s) if len(s) > 1 else 0.0 for value, s in self.scores.items()}


def effects(board: Board, limits: tuple[float, float] = (-math.inf, math.inf)) -> list[Effect]:
    """Return the effect of every swept option, the strongest first.

    A score outside the limits counts as the limit: one that is 1e5 times the others would be all the variance.
    """
    found = []
    for option in board.options:
        values = in_order(dict.fromkeys(job.options.get(option, "") for job in board.jobs))
        rows = {value: [row for row in board.rows if row.options[option] == value] for value in values}
        rows = {value: some for value, some in rows.items() if some}
        scores = {value: [score for row in some for score in held(row, limits)] for value, some in rows.items()}
        lost = [job.options.get(option, "") for job in board.unranked]
        number = sum(map(len, scores.values()))
        strength = between(list(scores.values())) if 1 < len(scores) <= number / 2 else None
        found.append(
            Effect(option, scores, strength, lost={value: lost.count(value) for value in values if value in lost})
        )
    return sorted(found, key=lambda effect: -1.0 if effect.strength is None else effect.strength, reverse=True)


def noise(board: Board, limits: tuple[float, float] = (-math.inf, math.inf)) -> float | None:
    """Return the share of the variance of all scores within the variants; None where no variant has repetitions."""
    groups = [held(row, limits) for row in board.rows]
    if all(len(group) == 1 for group in groups):
        return None
    return 0.0 if same([score for group in groups for score in group]) else 1 - between(groups)


def held(row: Row, limits: tuple[float, float]) -> list[float]:
    """Return the scores of a variant's repetitions, within the limits."""
    return [min(max(score, limits[0]), limits[1]) for score in row.scores]


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
    return sorted(values, key=lambda value: (number_of(value) is None, number_of(value) or 0.0))


def number_of(value: str) -> float | None:
    """Return the finite number that the text is, or None."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def between(groups: list[list[float]]) -> float:
    """Return the sum of squares between the groups over the total sum of squares; 0 where all scores are the same."""
    every = [score for group in groups for score in group]
    if same(every):
        return 0.0
    mean = statistics.fmean(every)
    total = sum((score - mean) ** 2 for score in every)
    squares = sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in groups)
    return squares / total


def same(values: list[float]) -> bool:
    """Return whether all values are the same number up to rounding."""
    return max(values) - min(values) <= 1e-12 * max(map(abs, values))
