"""The values of an epoch: the loss, the task's metrics and those of the user, for one model or a group of models."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torchmetrics
from torch import Tensor

from kindling import UserError
from kindling.tasks.metrics import in_unit
from kindling.tasks.tasks import Loss, Task

Metric = torchmetrics.Metric | Callable[[Tensor, Tensor], Tensor]


def scores(
    task: Task, loss: Loss, logits: Tensor, y: Tensor, *, target_std: list[float] | None, custom: Mapping[str, Metric]
) -> dict[str, Tensor]:
    """Return the loss, the task's metrics and custom metrics, each a scalar, or (M,) for a group of M models.

    Args:
        task: the task of the model.
        loss: function of logits and targets.
        logits: of all samples, (N, num_outputs) or (M, N, num_outputs).
        y: targets in the form that the loss expects, (N, ...) or (M, N, ...).
        target_std: standard deviations by which the data has divided the targets of a regression; metrics undo this.
        custom: name -> a torchmetrics metric, or a function of one model's logits and targets.
    """
    logits = logits.to(
        torch.promote_types(logits.dtype, torch.float32)
    )  # with mixed precision they have half precision
    if logits.device.type == "mps":  # which has no float64
        logits, y = logits.cpu(), y.cpu()
    with torch.no_grad():
        found = {"loss": loss(logits, y)}
        logits, y = in_unit(logits, y, target_std)
        found |= task.metrics(logits, y)
        logits = task.preds(logits) if task.name == "regression" else logits  # of several quantiles the median
        for name, metric in custom.items():
            value = partial(_value, task, metric)
            is_group = logits.dim() > 2
            found[name] = torch.stack([*map(value, logits, y)]) if is_group else value(logits, y)
    return found


def check_custom(custom: Mapping[str, Metric], task: Task) -> None:
    """Check the names and types of custom metrics.

    Raises:
        UserError: a name is taken, or a metric is neither a function nor a torchmetrics metric.
    """
    for name, metric in custom.items():
        if name == "loss" or name in task.higher_is_better:
            raise UserError(f"metrics.{name}: the task already has a metric of that name: choose another name.")
        if not callable(metric):
            raise UserError(
                f"metrics.{name} is {metric!r}: it must have a _target_, and _partial_: true for a function."
            )


def _value(task: Task, metric: Metric, logits: Tensor, y: Tensor) -> Tensor:
    if not isinstance(metric, torchmetrics.Metric):
        return torch.as_tensor(metric(logits, y))
    # Probabilities, not logits, because torchmetrics guesses from the range of a batch which of them it gets.
    preds = task.probabilities(logits)
    preds, y = (t[:, 0] if t.dim() > 1 and t.shape[1] == 1 else t for t in (preds, y))
    metric = metric.to(preds.device)
    metric.sync_on_compute = False  # each process has all samples already
    metric.reset()
    metric.update(preds, y if task.name == "regression" else y.long())
    return metric.compute()
