"""What each swept knob does to the score: marginal means, and how much of the differences they explain."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from kindling.leaderboard.board import Row


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


def effects(rows: list[Row]) -> list[Effect]:
    """Of every swept knob, the strongest first: by the share of the variance that its marginal means explain."""
    found = []
    for knob in rows[0].knobs:
        scores = marginal(rows, lambda row, knob=knob: row.knobs[knob])
        scores = {value: scores[value] for value in in_order(list(scores))}
        found.append(Effect(knob, scores, None if len(scores) == len(rows) else _explained(scores)))
    return sorted(found, key=lambda effect: -1.0 if effect.strength is None else effect.strength, reverse=True)


def marginal(rows: list[Row], key: Callable[[Row], object]) -> dict:
    """Scores of the variants by what `key` says of them; the mean of each list is a marginal mean."""
    found: dict = {}
    for row in rows:
        found.setdefault(key(row), []).append(row.mean)
    return found


def in_order(values: list[str]) -> list[str]:
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
    return between / total if total > 0 else 0.0
