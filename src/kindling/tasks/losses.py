"""Losses of logits: each a mean over the rows. LOSSES says which a task can be trained with.

Shapes: logits (N, num_outputs); y (N,) class indices for the `class_` ones, else (N, num_outputs) floats.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def bce(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy; `smoothing` moves the targets 0 and 1 by half of it towards 0.5."""
    return F.binary_cross_entropy_with_logits(logits, y.lerp(torch.full_like(y, 0.5), smoothing) if smoothing else y)


def cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of softmax; `smoothing` spreads that share of the target over all classes."""
    return F.cross_entropy(logits, y, label_smoothing=smoothing)


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the values themselves."""
    return F.mse_loss(logits, y)


def probability_mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the sigmoid's probability (Brier score)."""
    return F.mse_loss(logits.sigmoid(), y)


def class_mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of softmax's probabilities against 0 and 1, a mean over the classes too."""
    return F.mse_loss(logits.softmax(1), F.one_hot(y, logits.shape[1]).to(logits.dtype))


def hinge(logits: Tensor, y: Tensor) -> Tensor:
    """max(0, 1 - s f) with s = -1 or 1, the loss of a support vector machine."""
    return _hinge(_margin(logits, y), 1.0)


def class_hinge(logits: Tensor, y: Tensor) -> Tensor:
    """max(0, 1 - margin) of the true class over the best other one (Crammer and Singer 2001)."""
    return _hinge(_class_margin(logits, y), 1.0)


def perceptron(logits: Tensor, y: Tensor) -> Tensor:
    """max(0, -s f) with s = -1 or 1: only wrong rows teach (Rosenblatt 1958)."""
    return _hinge(_margin(logits, y), 0.0)


def class_perceptron(logits: Tensor, y: Tensor) -> Tensor:
    """max(0, -margin) of the true class over the best other one."""
    return _hinge(_class_margin(logits, y), 0.0)


def _hinge(margin: Tensor, wanted: float) -> Tensor:
    # clamp has a slope at its bound where relu has none: a tie counts as a mistake, so a perceptron of zeros learns.
    return (wanted - margin).clamp(min=0).mean()


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    return (2 * y - 1) * logits  # (N, num_outputs), positive where right


def _class_margin(logits: Tensor, y: Tensor) -> Tensor:
    true = y[:, None]
    others = logits.scatter(1, true, -torch.inf)
    return logits.gather(1, true)[:, 0] - others.amax(1)  # (N,), positive where right


# task -> name -> loss; the first is the one of loss=auto. A loss of your own needs no more than a line here.
LOSSES: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "binary": {
        "bce": bce,
        "mse": probability_mse,
        "hinge": hinge,
        "perceptron": perceptron,
    },
    "multiclass": {
        "cross_entropy": cross_entropy,
        "mse": class_mse,
        "hinge": class_hinge,
        "perceptron": class_perceptron,
    },
    "multilabel": {
        "bce": bce,
        "mse": probability_mse,
        "hinge": hinge,
        "perceptron": perceptron,
    },
    "regression": {"mse": mse},
}
