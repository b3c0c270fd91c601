"""The four tasks: for each its predictions, its metrics and its confusion counts, in one place.

Targets `y` come as the loss wants them: class indices (N,) for multiclass, else floats (N, num_outputs) like the
logits. Metrics are computed once per epoch over all rows, so a short last batch weighs what it should.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kindling import UserError
from kindling.tasks import losses, metrics

Loss = Callable[[Tensor, Tensor], Tensor]


class Task(ABC):
    """What a task means. Shapes: logits (N, num_outputs), counts (C, C) with rows true and columns predicted.

    All but `constant_logits` also take logits (members, N, num_outputs) and give a value for each member.
    """

    name: str
    higher_is_better: dict[str, bool]  # of every value that `metrics` returns, by its name

    @abstractmethod
    def preds(self, logits: Tensor) -> Tensor:
        """Predicted classes (N,), labels (N, num_outputs) or values (N, num_outputs)."""

    @abstractmethod
    def constant_logits(self, y: Tensor) -> Tensor:
        """Logits (num_outputs,) of the best predictor that ignores its input: class shares, or the mean."""

    @abstractmethod
    def metrics(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return values by name, NaN where one is undefined."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (N, num_outputs) of the classes or labels; of a regression the values."""
        return logits.sigmoid()

    def confusion(self, logits: Tensor, y: Tensor) -> Tensor | None:
        """Return the confusion counts where each sample has one class, else None."""
        return None

    def loss(self, name: str | Loss = "auto") -> Loss:
        """Return the loss of that name, (logits, y) -> scalar; a function is itself.

        Raises:
            UserError: the task has none of that name.
        """
        known = losses.LOSSES[self.name]
        if callable(name):
            return name.__call__ if isinstance(name, nn.Module) else name  # a module in a model would be its layer
        if name != "auto" and name not in known:
            raise UserError(f"loss={name} does not fit task={self.name}: choose {', '.join(known)}.")
        return next(iter(known.values())) if name == "auto" else known[name]


RATES = {"accuracy": True, "precision": True, "recall": True, "f1": True, "auroc": True}  # whether higher is better


class Binary(Task):
    """One logit per row; the positive class is 1."""

    name, higher_is_better = "binary", RATES

    def preds(self, logits):
        return (logits[..., 0] > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def confusion(self, logits, y):
        return metrics.confusion_counts(self.preds(logits), y[..., 0], 2)

    def metrics(self, logits, y):
        area = metrics.auroc(logits[..., 0], y[..., 0])
        return {**metrics.rates(self.confusion(logits, y)[..., None, :, :]), "auroc": area}


class Multiclass(Task):
    """num_classes logits per row; precision, recall, F1 and AUROC are means over the classes (macro)."""

    name, higher_is_better = "multiclass", RATES

    def preds(self, logits):
        return logits.argmax(-1)

    def constant_logits(self, y):
        return (torch.bincount(y) / len(y)).log()

    def probabilities(self, logits):
        return logits.softmax(-1)

    def confusion(self, logits, y):
        return metrics.confusion_counts(self.preds(logits), y, logits.shape[-1])

    def metrics(self, logits, y):
        n, counts = logits.shape[-1], self.confusion(logits, y)
        # The order of softmax's probabilities, which are all 1 for large logits.
        scores = logits.double().log_softmax(-1).movedim(-1, -2)  # (..., C, N)
        is_class = y[..., None, :] == torch.arange(n, device=y.device)[:, None]
        area = metrics.auroc(scores, is_class).nanmean(-1)  # over the classes that have samples and are not all samples
        right = counts.diagonal(dim1=-2, dim2=-1).sum(-1).double() / y.shape[-1]
        return {**metrics.rates(metrics.one_vs_rest(counts)), "accuracy": right, "auroc": area}


class Multilabel(Task):
    """One logit per label, each a yes or no of its own; metrics are means over the labels (macro).

    `auroc_micro` is the area over all labels' rows as one list, so that it also tells frequent labels from rare ones.
    """

    name, higher_is_better = "multilabel", RATES | {"auroc_micro": True}

    def preds(self, logits):
        return (logits > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def metrics(self, logits, y):
        logits, y = logits.movedim(-1, -2), y.movedim(-1, -2)  # (..., labels, N)
        counts = metrics.confusion_counts(self.preds(logits), y, 2)
        area = metrics.auroc(logits, y).nanmean(-1)
        micro = metrics.auroc(logits.flatten(-2), y.flatten(-2))
        return {**metrics.rates(counts), "auroc": area, "auroc_micro": micro}


class Regression(Task):
    """num_outputs numbers per row."""

    name, higher_is_better = "regression", {"mse": False, "mae": False, "r2": True}

    def preds(self, logits):
        return logits

    def probabilities(self, logits):
        return logits

    def constant_logits(self, y):
        return y.mean(0)

    def metrics(self, logits, y):
        error = logits.double() - y.double()
        values = {"mse": (error**2).mean((-2, -1)), "mae": error.abs().mean((-2, -1))}
        if y.shape[-2] > 1:  # R2 of a single row is undefined
            values["r2"] = metrics.r2(logits, y)
        return values


TASKS: dict[str, Task] = {task.name: task for task in (Binary(), Multiclass(), Multilabel(), Regression())}
