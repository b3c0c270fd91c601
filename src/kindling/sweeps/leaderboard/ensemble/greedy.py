"""Ensemble selection: add the candidate, with replacement, whose addition gives the best validation score.

Caruana, Niculescu-Mizil, Crew and Ksikes 2004, "Ensemble selection from libraries of models".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

ROUNDS = 50
MAX_VALUES = 20_000_000  # predictions that are averaged at once
ROUNDING = 1e-12  # relative difference up to which two scores are equal


def select(
    preds: Sequence[Tensor], score: Callable[[list[Tensor]], Tensor], higher_is_better: bool, rounds: int = ROUNDS
) -> list[int]:
    """Return the candidates in the order in which they were added; a candidate may have been added several times.

    The first one is the best candidate. Of the ensembles after each round, the one with the best score is returned,
    and of several that are equally good the smallest.

    Args:
        preds: predictions (M, N, num_outputs) of M candidates, a tensor for each set of validation samples.
        score: returns the scores (K,) of K averaged predictions (K, N, num_outputs), given for each set of samples.
        higher_is_better: whether a higher score is better.
        rounds: number of additions.
    """
    sign = -1 if higher_is_better else 1
    totals = [torch.zeros_like(part[0]) for part in preds]
    at_once = max(1, MAX_VALUES // max(1, sum(map(torch.numel, totals))))
    chosen: list[int] = []
    costs: list[float] = []
    for number in range(1, rounds + 1):
        blocks = zip(*(part.split(at_once) for part in preds), strict=True)
        averages = ([(total + part) / number for total, part in zip(totals, block, strict=True)] for block in blocks)
        cost = sign * torch.cat([score(block) for block in averages])
        cost = torch.where(cost.isnan(), torch.inf, cost)
        best = int(cost.argmin())
        chosen.append(best)
        costs.append(cost[best].item())
        totals = [total + part[best] for total, part in zip(totals, preds, strict=True)]
    least = min(costs)
    return chosen[: next(i for i, cost in enumerate(costs, 1) if cost <= least + ROUNDING * abs(least))]
