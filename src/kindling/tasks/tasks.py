"""The four tasks, each with its predictions, metrics and confusion counts.

Targets `y` have the form that the loss expects: class indices (N,) for multiclass, else floats (N, num_outputs) like
the logits. Metrics are computed once per epoch over all samples, so that a smaller last batch has the right weight.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.tasks import losses, metrics

Loss = Callable[[Tensor, Tensor], Tensor]


class Task(ABC):
    """A kind of prediction. Shapes: logits (N, num_outputs), counts (C, C) with rows true and columns predicted.

    All methods except `constant_logits` also accept logits (members, N, num_outputs) and return a value per member.
    """

    name: str
    higher_is_better: dict[str, bool]  # for every metric that `metrics` returns

    @abstractmethod
    def preds(self, logits: Tensor) -> Tensor:
        """Return predicted classes (N,), labels (N, num_outputs) or values (N, num_outputs)."""

    @abstractmethod
    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the logits (num_outputs,) of the best constant prediction: class frequencies, or the mean.

        Args:
            y: targets.
            weights: of the samples (N,), with a mean of 1; None: all are equal.
        """

    @abstractmethod
    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return metrics by name; undefined ones are NaN."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities (N, num_outputs) of classes or labels, or the values of a regression."""
        return logits.sigmoid()

    def confusion(self, logits: Tensor, y: Tensor) -> Tensor | None:
        """Return the confusion counts if each sample has one class, else None."""
        return None

    def loss(self, name: str | Loss = "auto") -> Loss:
        """Return the loss with the given name; a function of logits and targets is returned unchanged.

        Raises:
            UserError: the task has no such loss.
        """
        known = losses.LOSSES[self.name]
        if callable(name):
            return (
                name.__call__ if isinstance(name, nn.Module) else name
            )  # a module would become a submodule of the model
        if name != "auto" and name not in known:
            raise UserError(f"loss={name} does not fit task={self.name}: choose {', '.join(known)}.")
        return next(iter(known.values())) if name == "auto" else known[name]


def _mean(y: Tensor, weights: Tensor | None) -> Tensor:
    return y.mean(0) if weights is None else (y * weights[:, None]).mean(0)


RATES = {"accuracy": True, "precision": True, "recall": True, "f1": True, "auroc": True}  # whether higher is better


class Binary(Task):
    """One logit per sample; the positive class is 1."""

    name, higher_is_better = "binary", RATES

    def preds(self, logits: Tensor) -> Tensor:
        return (logits[..., 0] > 0).long()

    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        return _mean(y, weights).logit(eps=1e-6)

    def confusion(self, logits: Tensor, y: Tensor) -> Tensor:
        return metrics.confusion_counts(self.preds(logits), y[..., 0], 2)

    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        area = metrics.auroc(logits[..., 0], y[..., 0])
        return {**metrics.rates(self.confusion(logits, y)[..., None, :, :]), "auroc": area}


class Multiclass(Task):
    """num_classes logits per sample; precision, recall, F1 and AUROC are means over the classes (macro)."""

    name, higher_is_better = "multiclass", RATES

    def preds(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        return (torch.bincount(y, weights) / len(y)).log()

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    def confusion(self, logits: Tensor, y: Tensor) -> Tensor:
        return metrics.confusion_counts(self.preds(logits), y, logits.shape[-1])

    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        n, counts = logits.shape[-1], self.confusion(logits, y)
        # They have the order of the softmax probabilities, which would all be 1 for large logits.
        scores = logits.double().log_softmax(-1).movedim(-1, -2)  # (..., C, N)
        is_class = y[..., None, :] == torch.arange(n, device=y.device)[:, None]
        area = metrics.auroc(scores, is_class).nanmean(-1)  # over the classes for which it is defined
        accuracy = counts.diagonal(dim1=-2, dim2=-1).sum(-1).double() / y.shape[-1]
        return {**metrics.rates(metrics.one_vs_rest(counts)), "accuracy": accuracy, "auroc": area}


class Multilabel(Task):
    """One logit per label, each an independent binary prediction; metrics are means over the labels (macro).

    `auroc_micro` is the area over all pairs of sample and label, so that it also depends on the labels' frequencies.
    """

    name, higher_is_better = "multilabel", RATES | {"auroc_micro": True}

    def preds(self, logits: Tensor) -> Tensor:
        return (logits > 0).long()

    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        return _mean(y, weights).logit(eps=1e-6)

    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        logits, y = logits.movedim(-1, -2), y.movedim(-1, -2)  # (..., labels, N)
        counts = metrics.confusion_counts(self.preds(logits), y, 2)
        area = metrics.auroc(logits, y).nanmean(-1)
        micro = metrics.auroc(logits.flatten(-2), y.flatten(-2))
        return {**metrics.rates(counts), "auroc": area, "auroc_micro": micro}


class Regression(Task):
    """num_outputs values per sample."""

    name, higher_is_better = "regression", {"mse": False, "mae": False, "r2": True}

    def preds(self, logits: Tensor) -> Tensor:
        return logits

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits

    def constant_logits(self, y: Tensor, weights: Tensor | None = None) -> Tensor:
        return _mean(y, weights)

    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        error = logits.double() - y.double()
        values = {"mse": (error**2).mean((-2, -1)), "mae": error.abs().mean((-2, -1))}
        if y.shape[-2] > 1:  # R2 of a single sample is undefined
            values["r2"] = metrics.r2(logits, y)
        return values


TASKS: dict[str, Task] = {task.name: task for task in (Binary(), Multiclass(), Multilabel(), Regression())}
