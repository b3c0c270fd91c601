"""Test whether the winner's lead is larger than the noise between seeds, with a permutation test."""

import math
from itertools import chain, combinations

import numpy as np

from kindling.sweeps.leaderboard.board import Board

LEVEL = 0.05
MAX_SPLITS = 20_000
NAMES = {"seed": "seeds", "data.fold": "folds", "data.split_seed": "splits"}


def permutation_p(a: list[float], b: list[float]) -> float:
    """Return the two-sided p-value of the difference of means under random assignment to two groups.

    It is computed over all splits of the values into groups of these sizes or, if there are more than MAX_SPLITS, over
    that many random ones and the observed split. It is twice the smaller tail, as in scipy.stats.permutation_test.
    """
    values, n = np.array([*a, *b]), len(a)
    exact = math.comb(len(values), n) <= MAX_SPLITS
    if exact:
        places = combinations(range(len(values)), n)
        sums = values[np.fromiter(chain.from_iterable(places), int).reshape(-1, n)].sum(1)
    else:
        random = np.random.default_rng(0)
        sums = np.array([random.permutation(values)[:n].sum() for _ in range(MAX_SPLITS)])
    differences = sums / n - (values.sum() - sums) / len(b)
    extra = 0 if exact else 1  # the observed split, which is one of all splits
    observed = np.mean(a) - np.mean(b)
    slack = 1e-12 * np.abs(values).max()  # rounding: the order of summation differs
    tails = [(differences <= observed + slack).sum(), (differences >= observed - slack).sum()]
    return min(1.0, 2 * float(min(tails) + extra) / (len(differences) + extra))


def smallest_p(n: int, m: int) -> float:
    """Return the smallest p-value that is possible with groups of n and m scores."""
    return min(1.0, 2 / math.comb(n + m, n))


def verdict(board: Board) -> str:
    """Describe the lead over the runner-up and its significance; "" with fewer than two variants."""
    if len(board.rows) < 2:
        return ""
    first, second = board.rows[:2]
    a, b = first.scores, second.scores
    names, ahead = [board.label(row.options) for row in (first, second)], abs(first.mean - second.mean)
    lead = f"{names[0]} leads {names[1]} by {ahead:.2g} in {board.metric}"
    if not ahead:
        lead = f"{names[0]} and {names[1]} have the same {board.metric}"
    if smallest_p(len(a), len(b)) >= LEVEL:
        enough = next(n for n in range(2, 10) if smallest_p(n, n) < LEVEL)
        unit, number = repetitions(board), f"{len(a)} and {len(b)}" if len(a) != len(b) else f"{len(a)}"
        trained = "one run each is" if number == "1" else f"{number} {unit}{' each' * (len(a) == len(b))} are"
        return (
            f"{lead}; {trained} too few to tell whether this is more than noise: "
            f"train at least {enough} of each, e.g. {'folds' if board.folded == ['data.fold'] else 'repeat'}=5."
        )
    p = permutation_p(a, b)
    noise, test = f"the noise between {repetitions(board)}", f"(permutation test, p = {p:.2g})"
    if p < LEVEL:
        return f"{lead}, which is larger than {noise} {test}."
    return f"{lead}, which is within {noise} {test}: treat them as tied."


def repetitions(board: Board) -> str:
    return " and ".join(NAMES[key] for key in board.folded) or "seeds"
