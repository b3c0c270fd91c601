"""Quantile regression: several quantiles of each target, trained with the pinball loss (Koenker and Bassett 1978)."""

from functools import partial

import torch
from torch import Tensor

from kindling import UserError
from kindling.cli.quantiles import check_quantiles
from kindling.tasks.losses import pinball
from kindling.tasks.tasks import TASKS, Loss, Task


class Quantiles(Task):
    """A regression with Q quantiles of each of T targets, Q * T values per sample: first the medians of all targets.

    The other quantiles follow in increasing order, each for all targets. Quantiles of a sample that cross are sorted in
    predictions and metrics (Chernozhukov et al. 2010), but not in the loss.

    Args:
        quantiles: increasing numbers between 0 and 1 with 0.5.

    Attributes:
        quantiles: in the order of the values, so that the first one is 0.5.
    """

    name, higher_is_better = "regression", {"mse": False, "mae": False, "r2": True}

    def __init__(self, quantiles: list[float]):
        self.quantiles = [0.5, *(q for q in quantiles if q != 0.5)]
        self.ranks = [sorted(quantiles).index(q) for q in self.quantiles]

    def preds(self, logits: Tensor) -> Tensor:
        """Return the medians (N, T)."""
        return self.probabilities(logits)[..., : logits.shape[-1] // len(self.quantiles)]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the values with each sample's quantiles in the right order."""
        ascending = logits.unflatten(-1, (len(self.quantiles), -1)).sort(-2).values
        return ascending[..., self.ranks, :].flatten(-2)

    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the quantiles of the targets, the lowest values that have the wanted share of the samples below."""
        values, order = y.sort(0)
        share = torch.ones_like(y, dtype=torch.float64) if weights is None else weights.double()[order]
        below = share.cumsum(0) / share.sum(0)
        places = [(below < q - 1e-12).sum(0, keepdim=True).clamp(max=len(y) - 1) for q in self.quantiles]
        return torch.cat([values.gather(0, place)[0] for place in places])

    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the metrics of the medians, and the share of targets from the lowest to the highest quantile."""
        found = TASKS["regression"].metrics(self.preds(logits), y)
        if len(self.quantiles) > 1:
            values = logits.double().unflatten(-1, (len(self.quantiles), -1))
            is_covered = (values.amin(-2) <= y.double()) & (y.double() <= values.amax(-2))
            found["coverage"] = is_covered.double().mean((-2, -1))
        return found

    def loss(self, name: str | Loss = "auto") -> Loss:
        """Return the pinball loss; a function of logits and targets is returned as by `Task.loss`.

        Raises:
            UserError: another loss is named.
        """
        if callable(name):
            return super().loss(name)
        if name not in ("auto", "quantile"):
            check_quantiles(sorted(self.quantiles), name)
        return partial(pinball, quantiles=self.quantiles)


def task_of(task: str, quantiles: list[float] | None = None) -> Task:
    """Return the task with this name, or that of these quantiles.

    Raises:
        UserError: the quantiles are invalid, or the task is not a regression.
    """
    if quantiles is None:
        return TASKS[task]
    check_quantiles(quantiles, "quantile")
    if task != "regression":
        raise UserError(
            f"quantiles={quantiles} needs a regression, and the task of this data is {task}: remove quantiles and loss."
        )
    return Quantiles(quantiles)


def quantile_names(task: Task, targets: list[str]) -> list[str]:
    """Return a name for each value but the medians, e.g. "quantile 0.1", or "quantile 0.1 price" for several targets.

    Args:
        task: a regression; of one without quantiles there are none.
        targets: the names of the targets.
    """
    others = task.quantiles[1:] if isinstance(task, Quantiles) else []
    return [f"quantile {q:g}{f' {name}' * (len(targets) > 1)}" for q in others for name in targets]
