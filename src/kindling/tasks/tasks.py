"""The four tasks: for each its losses, its predictions, its metrics and its confusion counts, in one place.

Targets `y` come as the loss wants them: class indices (N,) for multiclass, else floats (N, num_outputs) like the
logits. Metrics are computed once per epoch over all rows, so a short last batch weighs what it should.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from kindling import UserError
from kindling.tasks import losses, metrics


class Task(ABC):
    """What a task means. Shapes: logits (N, num_outputs), counts (C, C) with rows true and columns predicted.

    `preds` and `metrics` also take logits (members, N, num_outputs) and give a value for each member.
    """

    losses: dict[str, Callable[[Tensor, Tensor], Tensor]]  # by name; the first is the one of loss=auto
    higher_is_better: dict[str, bool]  # of every value that `metrics` returns, by its name

    @abstractmethod
    def preds(self, logits: Tensor) -> Tensor:
        """Predicted classes (N,), labels (N, num_outputs) or values (N, num_outputs)."""

    @abstractmethod
    def constant_logits(self, y: Tensor) -> Tensor:
        """Logits (num_outputs,) of the best predictor that ignores its input: class shares, or the mean."""

    @abstractmethod
    def metrics(self, logits: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return values by name, NaN where one is undefined, and the confusion counts where the task has classes."""

    def loss(self, name: str = "auto") -> Callable[[Tensor, Tensor], Tensor]:
        """The loss of that name, (logits, y) -> scalar.

        Raises:
            UserError: the task has none of that name.
        """
        if name == "auto":
            return next(iter(self.losses.values()))
        if name not in self.losses:
            raise UserError(
                f"loss={name} does not fit task={type(self).__name__.lower()}: choose {', '.join(self.losses)}."
            )
        return self.losses[name]


RATES = {"accuracy": True, "precision": True, "recall": True, "f1": True, "auroc": True}  # whether higher is better
YES_OR_NO = {
    "bce": losses.bce,
    "mse": losses.probability_mse,
    "hinge": losses.hinge,
    "perceptron": losses.perceptron,
}


class Binary(Task):
    """One logit per row; the positive class is 1."""

    losses, higher_is_better = YES_OR_NO, RATES

    def preds(self, logits):
        return (logits[..., 0] > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def metrics(self, logits, y):
        counts = metrics.confusion_counts(self.preds(logits), y[..., 0], 2)
        area = metrics.auroc(logits[..., 0], y[..., 0])
        return {**metrics.rates(counts[..., None, :, :]), "auroc": area}, counts


class Multiclass(Task):
    """num_classes logits per row; precision, recall, F1 and AUROC are means over the classes (macro)."""

    losses = {
        "cross_entropy": losses.cross_entropy,
        "mse": losses.class_mse,
        "hinge": losses.class_hinge,
        "perceptron": losses.class_perceptron,
    }
    higher_is_better = RATES

    def preds(self, logits):
        return logits.argmax(-1)

    def constant_logits(self, y):
        return (torch.bincount(y) / len(y)).log()

    def metrics(self, logits, y):
        n = logits.shape[-1]
        counts = metrics.confusion_counts(self.preds(logits), y, n)
        # The order of softmax's probabilities, which are all 1 for large logits.
        scores = logits.double().log_softmax(-1).movedim(-1, -2)  # (..., C, N)
        is_class = y[..., None, :] == torch.arange(n, device=y.device)[:, None]
        area = metrics.auroc(scores, is_class).nanmean(-1)  # over the classes that have samples and are not all samples
        right = counts.diagonal(dim1=-2, dim2=-1).sum(-1).double() / y.shape[-1]
        return {**metrics.rates(metrics.one_vs_rest(counts)), "accuracy": right, "auroc": area}, counts


class Multilabel(Task):
    """One logit per label, each a yes or no of its own; metrics are means over the labels (macro).

    `auroc_micro` is the area over all labels' rows as one list, so that it also tells frequent labels from rare ones.
    """

    losses, higher_is_better = YES_OR_NO, RATES | {"auroc_micro": True}

    def preds(self, logits):
        return (logits > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def metrics(self, logits, y):
        logits, y = logits.movedim(-1, -2), y.movedim(-1, -2)  # (..., labels, N)
        counts = metrics.confusion_counts(self.preds(logits), y, 2)
        area = metrics.auroc(logits, y).nanmean(-1)
        micro = metrics.auroc(logits.flatten(-2), y.flatten(-2))
        return {**metrics.rates(counts), "auroc": area, "auroc_micro": micro}, None


class Regression(Task):
    """num_outputs numbers per row."""

    losses = {"mse": losses.mse}
    higher_is_better = {"mse": False, "mae": False, "r2": True}

    def preds(self, logits):
        return logits

    def constant_logits(self, y):
        return y.mean(0)

    def metrics(self, logits, y):
        error = logits.double() - y.double()
        values = {"mse": (error**2).mean((-2, -1)), "mae": error.abs().mean((-2, -1))}
        if y.shape[-2] > 1:  # R2 of a single row is undefined
            values["r2"] = metrics.r2(logits, y)
        return values, None


TASKS: dict[str, Task] = {
    "binary": Binary(),
    "multiclass": Multiclass(),
    "multilabel": Multilabel(),
    "regression": Regression(),
}
