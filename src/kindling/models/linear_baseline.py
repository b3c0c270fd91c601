"""The predictors behind the baselines: a constant, and one linear layer fitted to convergence."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kindling.data.transforms import standard
from kindling.models.linear import Linear
from kindling.tasks import scoring
from kindling.tasks.tasks import TASKS

L2 = 1e-4
MOST_STEPS = 1_000  # of L-BFGS; the tables of this project take 2 to 50, powers of one x up to 900


def constant(facts: dict, y: Tensor) -> Tensor:
    """Logits (num_outputs,) of class shares, or the mean; a class without a train row is impossible."""
    logits = TASKS[facts["task"]].constant_logits(y)
    return F.pad(logits, (0, facts["num_outputs"] - len(logits)), value=-math.inf)


def fit_line(facts: dict, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
    """Logits (N, num_outputs) of inputs (N, columns) by logistic, softmax or linear regression on the rows x, y.

    The minimum of the task's own loss; of a classification's plus a weak L2 penalty of the weights, 0.5e-4 times their
    squares' sum, which gives separable rows a minimum as well: scikit-learn's LogisticRegression(C=1e4 / N) on
    standardised columns. Full batches, in float64, by L-BFGS from zeros.
    """
    mean, factor = standard(x.double(), x.dtype)
    model = Linear(facts["input_shape"], facts["num_outputs"], task=facts["task"]).double()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    inputs, targets = (x - mean) * factor, y if facts["task"] == "multiclass" else y.double()
    penalty = 0.0 if facts["task"] == "regression" else L2 / 2
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=MOST_STEPS, tolerance_grad=1e-8, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = model.loss(model(inputs), targets) + penalty * (model.net[-1].weight ** 2).sum()
        loss.backward()
        return loss

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if x.numel() < 1_000_000 else threads)  # on few rows threads wait for each other
    try:
        optimizer.step(objective)
    finally:
        torch.set_num_threads(threads)
    return lambda rows: model((rows - mean) * factor).detach()


def scores(facts: dict, loss: str, logits: Tensor, y: Tensor, stage: str) -> dict[str, float | None]:
    """The metrics of a model with these logits, as kindling.models.base.Model computes them; None where not finite."""
    task = TASKS[facts["task"]]
    values = scoring.scores(task, task.loss(loss), logits.float(), y=y, target_std=facts["target_std"], own={})
    return {f"{stage}/{name}": float(v) if math.isfinite(v) else None for name, v in values.items()}
