"""The four tasks: for each its losses, its predictions, its metrics and its confusion counts, in one place.

Targets `y` come as the loss wants them: class indices (N,) for multiclass, else floats (N, num_outputs) like the
logits. Metrics are computed once per epoch over all rows, so a short last batch weighs what it should.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional import r2_score
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_confusion_matrix,
    multiclass_auroc,
    multiclass_confusion_matrix,
    multilabel_auroc,
    multilabel_confusion_matrix,
)

from kindling import UserError, losses


class Task(ABC):
    """What a task means. Shapes: logits (N, num_outputs), counts (C, C) with rows true and columns predicted."""

    losses: dict[str, Callable[[Tensor, Tensor], Tensor]]  # by name; the first is the one of loss=auto

    @abstractmethod
    def preds(self, logits: Tensor) -> Tensor:
        """Predicted classes (N,), labels (N, num_outputs) or values (N, num_outputs)."""

    @abstractmethod
    def constant_logits(self, y: Tensor) -> Tensor:
        """Logits (num_outputs,) of the best predictor that ignores its input: class shares, or the mean."""

    @abstractmethod
    def metrics(self, logits: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Scalars by name, and the confusion counts where the task has classes."""

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


YES_OR_NO = {
    "bce": losses.bce,
    "mse": losses.probability_mse,
    "hinge": losses.hinge,
    "perceptron": losses.perceptron,
}


class Binary(Task):
    """One logit per row; the positive class is 1."""

    losses = YES_OR_NO

    def preds(self, logits):
        return (logits[:, 0] > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def metrics(self, logits, y):
        target = y[:, 0].long()
        counts = binary_confusion_matrix(self.preds(logits), target, validate_args=False)
        auroc = binary_auroc(_ranks(logits)[:, 0], target, validate_args=False)
        return {**_rates(counts[None]), "auroc": auroc}, counts


class Multiclass(Task):
    """num_classes logits per row; precision, recall, F1 and AUROC are means over the classes (macro)."""

    losses = {
        "cross_entropy": losses.cross_entropy,
        "mse": losses.class_mse,
        "hinge": losses.class_hinge,
        "perceptron": losses.class_perceptron,
    }

    def preds(self, logits):
        return logits.argmax(1)

    def constant_logits(self, y):
        return (torch.bincount(y) / len(y)).log()

    def metrics(self, logits, y):
        n = logits.shape[1]
        counts = multiclass_confusion_matrix(self.preds(logits), y, n, validate_args=False)
        auroc = multiclass_auroc(logits.double().softmax(1), y, n, validate_args=False)
        hit = counts.diagonal()
        one_vs_rest = torch.stack(
            [counts.sum() - counts.sum(0) - counts.sum(1) + hit, counts.sum(0) - hit, counts.sum(1) - hit, hit], 1
        ).view(n, 2, 2)
        return {**_rates(one_vs_rest), "accuracy": hit.sum() / counts.sum(), "auroc": auroc}, counts


class Multilabel(Task):
    """One logit per label, each a yes or no of its own; metrics are means over the labels (macro)."""

    losses = YES_OR_NO

    def preds(self, logits):
        return (logits > 0).long()

    def constant_logits(self, y):
        return y.mean(0).logit(eps=1e-6)

    def metrics(self, logits, y):
        n, target = logits.shape[1], y.long()
        counts = multilabel_confusion_matrix(self.preds(logits), target, n, validate_args=False)  # (L, 2, 2)
        auroc = multilabel_auroc(_ranks(logits), target, n, validate_args=False)
        return {**_rates(counts), "auroc": auroc}, None


class Regression(Task):
    """num_outputs numbers per row."""

    losses = {"mse": losses.mse}

    def preds(self, logits):
        return logits

    def constant_logits(self, y):
        return y.mean(0)

    def metrics(self, logits, y):
        values = {"mse": F.mse_loss(logits, y), "mae": F.l1_loss(logits, y)}
        if len(y) > 1:  # R2 of a single row is undefined
            values["r2"] = r2_score(logits, y)
        return values, None


TASKS: dict[str, Task] = {
    "binary": Binary(),
    "multiclass": Multiclass(),
    "multilabel": Multilabel(),
    "regression": Regression(),
}


def _ranks(scores: Tensor) -> Tensor:
    """The same order in [0, 1], column by column, for AUROC.

    Not logits: torchmetrics applies a sigmoid to whatever batch has a value outside [0, 1]. Nor always probabilities,
    though no sorting is needed for them: those of large logits are all 1.
    """
    if scores.abs().max() < 15:
        return scores.double().sigmoid()
    ranks = [torch.unique(column, return_inverse=True)[1] for column in scores.unbind(1)]
    return torch.stack(ranks, 1).double() / max(1, len(scores) - 1)


def _rates(counts: Tensor) -> dict[str, Tensor]:
    """Accuracy, precision, recall, F1 from (K, 2, 2) counts, each a mean over K; 0 / 0 is 0, as in scikit-learn."""
    (tn, fp), (fn, tp) = counts.permute(1, 2, 0).float()
    rates = {
        "accuracy": (tp + tn) / (tn + fp + fn + tp),
        "precision": tp / (tp + fp).clamp(min=1),
        "recall": tp / (tp + fn).clamp(min=1),
        "f1": 2 * tp / (2 * tp + fp + fn).clamp(min=1),
    }
    return {name: rate.mean() for name, rate in rates.items()}
