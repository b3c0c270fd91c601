"""The predictors of the baselines: a constant, and one linear layer trained to convergence."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kindling.data.preprocessing.scaling import standard
from kindling.models.linear import Linear
from kindling.tasks import epoch_metrics
from kindling.tasks.losses import weighted
from kindling.tasks.quantiles import task_of
from kindling.tasks.tasks import Loss

L2 = 1e-4
MOST_STEPS = 1_000  # of L-BFGS; the tables in this project need 2 to 50, and powers of one x up to 900


def constant(facts: dict[str, Any], y: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return constant logits (num_outputs,): class frequencies, -inf for a class without samples; mean or quantiles."""
    logits = task_of(facts["task"], facts.get("quantiles")).constant_logits(y, weights)
    return F.pad(logits, (0, facts["num_outputs"] - len(logits)), value=-math.inf)


def fit_line(facts: dict[str, Any], x: Tensor, y: Tensor, weights: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """Fit a logistic, softmax or linear regression, and return the function from inputs to its logits.

    It minimizes the task's loss with L-BFGS on full batches in float64, starting from zeros. For a classification a
    weak L2 penalty is added, 0.5e-4 times the sum of the squared weights, so that separable samples have a minimum
    too; this equals scikit-learn's LogisticRegression(C=1e4 / N) on standardized columns.

    Args:
        facts: the data's arguments for a model, see kindling.data.base.model_kwargs.
        x: inputs (N, columns).
        y: targets.
        weights: of the samples (N,), with a mean of 1; None: all are equal.
    """
    mean, factor = standard(x.double(), x.dtype)
    number = y.shape[1] if facts["task"] == "regression" else facts["num_outputs"]
    model = Linear(facts["input_shape"], number, task=facts["task"]).double()
    weight, bias = model.parameters()
    for p in (weight, bias):
        torch.nn.init.zeros_(p)
    inputs, targets = (x - mean) * factor, y if facts["task"] == "multiclass" else y.double()
    penalty = 0.0 if facts["task"] == "regression" else L2 / 2
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=MOST_STEPS, tolerance_grad=1e-8, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    compute = weighted(model.loss, weights)

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = compute(model(inputs), targets) + penalty * (weight**2).sum()
        loss.backward()
        return loss

    threads = torch.get_num_threads()  # with few samples, more than one only wait for each other
    torch.set_num_threads(1 if x.numel() < 1_000_000 else threads)
    try:
        optimizer.step(objective)
    finally:
        torch.set_num_threads(threads)
    return lambda inputs: model((inputs - mean) * factor).detach()


def with_quantiles(facts: dict[str, Any], preds: Tensor, errors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the logits (N, num_outputs) of a quantile regression: predictions (N, T) plus the quantiles of errors.

    Args:
        facts: see `fit_line`.
        preds: of the mean.
        errors: targets minus predictions of the training samples (N, T).
        weights: of the training samples.
    """
    return preds.repeat(1, len(facts["quantiles"])) + constant(facts, errors, weights)


def scores(
    facts: dict[str, Any], loss: str | Loss, logits: Tensor, y: Tensor, stage: str, weights: Tensor | None = None
) -> dict[str, float | None]:
    """Return the metrics for given logits, as kindling.models.base.Model computes them; None if not finite."""
    task = task_of(facts["task"], facts.get("quantiles"))
    compute = weighted(task.loss(loss), weights)
    values = epoch_metrics.scores(task, compute, logits.float(), y=y, target_std=facts["target_std"], custom={})
    return {f"{stage}/{name}": float(v) if math.isfinite(v) else None for name, v in values.items()}
