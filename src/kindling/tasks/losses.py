"""Losses, computed from logits as a mean over the samples. LOSSES lists those of each task.

Shapes: logits (N, num_outputs); y (N,) class indices for multiclass losses, else (N, num_outputs) floats.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from kindling import UserError


def bce(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the binary cross-entropy; `smoothing` moves the targets 0 and 1 by half of it towards 0.5."""
    return F.binary_cross_entropy_with_logits(logits, y.lerp(torch.full_like(y, 0.5), smoothing) if smoothing else y)


def cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of the softmax; `smoothing` is spread evenly over all classes."""
    return F.cross_entropy(logits, y, label_smoothing=smoothing)


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error."""
    return F.mse_loss(logits, y)


def pinball(logits: Tensor, y: Tensor, quantiles: Sequence[float] = (0.5,)) -> Tensor:
    """Return the mean of q e or (q - 1) e, whichever is larger, over samples, quantiles and targets; e = y - logit.

    Args:
        logits: (N, Q * T), the values of the first quantile for all T targets, then those of the next one.
        y: targets (N, T).
        quantiles: Q numbers between 0 and 1.

    Raises:
        UserError: the model has another number of outputs.
    """
    if logits.shape[-1] != len(quantiles) * y.shape[-1]:
        raise UserError(
            f"The model has {logits.shape[-1]} outputs, and {len(quantiles)} quantiles of {y.shape[-1]} targets need "
            f"{len(quantiles) * y.shape[-1]}: its constructor must pass `quantiles` to kindling.models.base.Model."
        )
    error = y.unsqueeze(-2) - logits.unflatten(-1, (len(quantiles), -1))  # (N, Q, T)
    share = torch.tensor(quantiles, dtype=logits.dtype, device=logits.device)[:, None]
    return torch.maximum(share * error, (share - 1) * error).mean()


def probability_mse(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of the sigmoid probabilities (Brier score)."""
    return F.mse_loss(logits.sigmoid(), y)


def class_mse(logits: Tensor, y: Tensor) -> Tensor:
    """Return the squared error of softmax probabilities against one-hot targets, a mean over samples and classes."""
    return F.mse_loss(logits.softmax(1), F.one_hot(y, logits.shape[1]).to(logits.dtype))


def hinge(logits: Tensor, y: Tensor) -> Tensor:
    """Return max(0, 1 - s f) with s = -1 or 1, the loss of a support vector machine."""
    return _hinge(_margin(logits, y), 1.0)


def class_hinge(logits: Tensor, y: Tensor) -> Tensor:
    """Return max(0, 1 - margin) of the true class over the best other one (Crammer and Singer 2001)."""
    return _hinge(_class_margin(logits, y), 1.0)


def perceptron(logits: Tensor, y: Tensor) -> Tensor:
    """Return max(0, -s f) with s = -1 or 1, which is 0 for correct samples (Rosenblatt 1958)."""
    return _hinge(_margin(logits, y), 0.0)


def class_perceptron(logits: Tensor, y: Tensor) -> Tensor:
    """Return max(0, -margin) of the true class over the best other one."""
    return _hinge(_class_margin(logits, y), 0.0)


def _hinge(margin: Tensor, required: float) -> Tensor:
    # Unlike relu, clamp has a gradient at its bound: a tie counts as an error, so that a perceptron of zeros learns.
    return (required - margin).clamp(min=0).mean()


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    return (2 * y - 1) * logits  # (N, num_outputs), positive if correct


def _class_margin(logits: Tensor, y: Tensor) -> Tensor:
    true = y[:, None]
    others = logits.scatter(1, true, -torch.inf)
    return logits.gather(1, true)[:, 0] - others.amax(1)  # (N,), positive if correct


def smoothed(loss: Callable[..., Tensor], smoothing: float) -> Callable[..., Tensor]:
    """Return the loss with label smoothing, or unchanged if that is 0.

    Raises:
        UserError: the loss does not support it.
    """
    if not smoothing:
        return loss
    if "smoothing" not in inspect.signature(loss).parameters:
        raise UserError(f"label_smoothing={smoothing} only works with loss=bce or cross_entropy: remove it.")
    return partial(loss, smoothing=smoothing)


def weighted(loss: Callable[[Tensor, Tensor], Tensor], weights: Tensor | None = None) -> Callable[..., Tensor]:
    """Return the loss as a mean over weighted samples: the mean of the weights times the losses of single samples.

    Args:
        loss: a mean over samples, of logits (N, num_outputs), or (M, N, num_outputs) with a value for each of M models.
        weights: of the samples (N,), or (M, N); None: the loss is returned unchanged.
    """
    if weights is None:
        return loss

    def mean(logits: Tensor, y: Tensor) -> Tensor:
        samples = logits.dim() - 2
        single = vmap(loss, in_dims=samples, out_dims=-1)  # with a dimension of one sample, for the loss's mean
        return (single(logits.unsqueeze(-2), y.unsqueeze(samples + 1)) * weights.to(logits.device)).mean(-1)

    return mean


# task -> name -> loss; the first one is used for loss=auto. To add your own loss, add a line here.
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
    "regression": {"mse": mse, "quantile": pinball},
}
