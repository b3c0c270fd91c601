"""The loss and the metrics of all samples of an epoch, of one model or of many at once."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torchmetrics
from torch import Tensor

from kindling import UserError
from kindling.tasks.metrics import in_unit
from kindling.tasks.tasks import Task

Metric = torchmetrics.Metric | Callable[[Tensor, Tensor], Tensor]


def scores(
    task: Task, loss: Callable, logits: Tensor, y: Tensor, *, target_std: list[float] | None, own: Mapping[str, Metric]
) -> dict[str, Tensor]:
    """Return the loss, the task's metrics and your own ones, each a scalar.

    Args:
        logits, y: of all samples (N, num_outputs) and as the loss wants them; of many models (M, N, num_outputs) and
            (M, N, ...), with values (M,).
        target_std: standard deviations by which the data has divided a regression's targets; metrics undo it.
        own: name -> a metric of torchmetrics, or a function of one model's logits and y.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # from mixed precision's half
    if logits.device.type == "mps":  # has no 64-bit numbers
        logits, y = logits.cpu(), y.cpu()
    with torch.no_grad():
        found = {"loss": loss(logits, y)}
        logits, y = in_unit(logits, y, target_std)
        found |= task.metrics(logits, y)
        for name, metric in own.items():
            of_one = partial(_value, task, metric)
            many = logits.dim() > 2
            found[name] = torch.stack([*map(of_one, logits, y)]) if many else of_one(logits, y)
    return found


def check_own(own: Mapping[str, Metric], task: Task) -> None:
    """Refuse a metric that has the name of another one, or that is neither a function nor one of torchmetrics.

    Raises:
        UserError: with what to change.
    """
    for name, metric in own.items():
        if name == "loss" or name in task.higher_is_better:
            raise UserError(f"metrics.{name}: the task has a metric of that name: call yours something else.")
        if not callable(metric):
            raise UserError(f"metrics.{name} is {metric!r}: write a _target_, with _partial_: true for a function.")


def _value(task: Task, metric: Metric, logits: Tensor, y: Tensor) -> Tensor:
    if not isinstance(metric, torchmetrics.Metric):
        return torch.as_tensor(metric(logits, y))
    # Probabilities, never logits: of those torchmetrics looks at a batch's range to guess what they are.
    preds = task.probabilities(logits)
    preds, y = (t[:, 0] if t.dim() > 1 and t.shape[1] == 1 else t for t in (preds, y))
    metric = metric.to(preds.device)
    metric.sync_on_compute = False  # of several processes each has all samples already
    metric.reset()
    metric.update(preds, y if task.name == "regression" else y.long())
    return metric.compute()
