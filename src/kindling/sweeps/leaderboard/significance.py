"""Is the winner's lead larger than the noise between seeds? A permutation test, and a sentence."""

import math
from itertools import chain, combinations

import numpy as np

from kindling.sweeps.leaderboard.board import Board

LEVEL = 0.05
MOST_SPLITS = 20_000
NAMES = {"seed": "seeds", "data.fold": "folds", "data.split_seed": "splits"}


def permutation_p(a: list[float], b: list[float]) -> float:
    """Two-sided p of the difference of means, if what is a's and what is b's were chance.

    Over all splits of the values into two such groups; if they are more than 20,000, over so many random ones and the
    split that was observed. Twice the smaller tail, as in scipy.stats.permutation_test.
    """
    values, n = np.array([*a, *b]), len(a)
    exact = math.comb(len(values), n) <= MOST_SPLITS
    if exact:
        places = combinations(range(len(values)), n)
        ours = values[np.fromiter(chain.from_iterable(places), int).reshape(-1, n)].sum(1)
    else:
        random = np.random.default_rng(0)
        ours = np.array([random.permutation(values)[:n].sum() for _ in range(MOST_SPLITS)])
    differences = ours / n - (values.sum() - ours) / len(b)
    observed_too = 0 if exact else 1  # where all splits are there it is among them
    observed = np.mean(a) - np.mean(b)
    slack = 1e-12 * np.abs(values).max()  # sums of the same values in another order
    tails = [(differences <= observed + slack).sum(), (differences >= observed - slack).sum()]
    return min(1.0, 2 * float(min(tails) + observed_too) / (len(differences) + observed_too))


def least_p(n: int, m: int) -> float:
    """The smallest p that groups of n and m can have."""
    return min(1.0, 2 / math.comb(n + m, n))


def verdict(board: Board) -> str:
    """What the lead over the runner-up is worth; "" where there are no two."""
    if len(board.rows) < 2:
        return ""
    first, second = board.rows[:2]
    a, b = first.scores, second.scores
    ahead = f"{abs(first.mean - second.mean):.2g} in {board.metric}"
    lead = f"{board.label(first.options)} leads {board.label(second.options)} by {ahead}"
    if least_p(len(a), len(b)) >= LEVEL:
        enough = next(n for n in range(2, 10) if least_p(n, n) < LEVEL)
        return (
            f"{lead}; whether that is more than noise, {len(a)} against {len(b)} {repetitions(board)} cannot show: "
            f"it takes {enough} of each or more, e.g. repeat=5."
        )
    p = permutation_p(a, b)
    noise = f"than the noise between {repetitions(board)}"
    if p < LEVEL:
        return f"{lead}, more {noise} (permutation test, p = {p:.2g})."
    return f"{lead}, no more {noise} (permutation test, p = {p:.2g}): call it a tie."


def repetitions(board: Board) -> str:
    return " and ".join(NAMES[key] for key in board.folded) or "seeds"
