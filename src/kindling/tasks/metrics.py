"""The formulas of the metrics, for one model or a group of models (leading dimensions are kept).

torchmetrics is not used because its functions evaluate one model at a time, and models must get the same numbers
individually and in a group of a hundred. In shapes, `...` is nothing or (members,).
"""

import numpy as np
import torch
from torch import Tensor


def confusion_counts(preds: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """Return counts (..., C, C), rows true and columns predicted, of class indices (..., N)."""
    cell = y.long() * num_classes + preds.long()
    cells = num_classes**2
    offset = torch.arange(cell[..., 0].numel(), device=cell.device).view(*cell.shape[:-1], 1) * cells
    counts = torch.bincount((cell + offset).flatten(), minlength=cell[..., 0].numel() * cells)
    return counts.view(*cell.shape[:-1], num_classes, num_classes)


def rates(counts: Tensor) -> dict[str, Tensor]:
    """Return accuracy, precision, recall and F1 of counts (..., K, 2, 2), each a mean over the K classes or labels.

    As in scikit-learn, a class that occurs but is never predicted has precision 0, and one that is predicted but never
    occurs has recall 0. A class for which neither holds is excluded from the means, which are NaN if all are.
    """
    (tn, fp), (fn, tp) = (row.unbind(-1) for row in counts.double().unbind(-2))
    occurring = (tp + fp + fn > 0).sum(-1)
    sums = {
        "precision": (tp / (tp + fp).clamp(min=1)).sum(-1),
        "recall": (tp / (tp + fn).clamp(min=1)).sum(-1),
        "f1": (2 * tp / (2 * tp + fp + fn).clamp(min=1)).sum(-1),
    }  # a class that does not occur adds 0
    accuracy = ((tp + tn) / (tn + fp + fn + tp)).mean(-1)
    return {"accuracy": accuracy, **{name: total / occurring for name, total in sums.items()}}


def one_vs_rest(counts: Tensor) -> Tensor:
    """Return counts (..., C, 2, 2) of each class against all others, from counts (..., C, C)."""
    hit = counts.diagonal(dim1=-2, dim2=-1)
    predicted, true = counts.sum(-2), counts.sum(-1)
    neither = counts.sum((-2, -1))[..., None] - predicted - true + hit
    return torch.stack([neither, predicted - hit, true - hit, hit], -1).unflatten(-1, (2, 2))


def auroc(scores: Tensor, y: Tensor) -> Tensor:
    """Return the exact area under the ROC curve (...) of scores (..., N) and binary targets y (..., N).

    It is the fraction of pairs of a positive and a negative sample in which the positive one has the higher score (Mann
    and Whitney 1947). It is NaN if all samples are of one class.
    """
    order = _order(scores)
    ranked, positive = scores.gather(-1, order), y.expand(scores.shape).gather(-1, order).double()
    above = positive.cumsum(-1)  # positives up to and including this sample
    positives, total = above[..., -1], above.shape[-1]
    lost = above.sum(-1) - (above * positive).sum(-1)  # pairs in which the negative one is higher
    tied = (ranked[..., 1:] == ranked[..., :-1]).any(-1)
    if tied.any():
        lost[tied] = _lost_with_ties(ranked[tied], above[tied])
    return 1 - lost / (positives * (total - positives))


def _lost_with_ties(ranked: Tensor, above: Tensor) -> Tensor:
    """Return the number of pairs (K,) with a higher negative, plus half the ties, for sorted scores (K, N)."""
    total = ranked.shape[-1]
    indices = torch.arange(total, device=ranked.device)
    ends = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (0, 1), value=True)
    # Samples of equal score form one step of the curve, and all get the counts at its end.
    end = torch.where(ends, indices, total).flip(-1).cummin(-1).values.flip(-1)
    height = torch.nn.functional.pad(above.gather(-1, end), (1, 0))
    width = torch.diff(torch.nn.functional.pad((indices + 1 - above).gather(-1, end), (1, 0)))
    return (width * (height[:, 1:] + height[:, :-1])).sum(-1) / 2


def r2(preds: Tensor, y: Tensor) -> Tensor:
    """Return R2 (...) for (..., N, outputs): a mean over the outputs whose targets are not constant.

    It is NaN if all are constant. (scikit-learn's r2_score is 1 or 0 then, or NaN with force_finite=False.)
    """
    preds, y = preds.double(), y.double()
    residual = ((preds - y) ** 2).sum(-2)
    total = ((y - y.mean(-2, keepdim=True)) ** 2).sum(-2)
    varies = y.amax(-2) > y.amin(-2)  # not total > 0, because the mean of equal numbers is rounded
    return torch.where(varies, 1 - residual / total, torch.nan).nanmean(-1)


def in_unit(logits: Tensor, y: Tensor, std: list[float] | None) -> tuple[Tensor, Tensor]:
    """Return predictions and targets of a regression in the target's unit, as float64; others unchanged.

    Args:
        logits: predictions in the scaled unit, which may be several quantiles of each target.
        y: scaled targets.
        std: standard deviations by which the data has divided the targets, or None.
    """
    if std is None:
        return logits, y
    unit = torch.tensor(std, device=y.device, dtype=torch.float64)
    quantiles = logits.shape[-1] // len(std)
    return logits.double() * unit.repeat(quantiles), y.double() * unit


def _order(scores: Tensor) -> Tensor:
    """Return the indices that sort the scores; on the CPU with NumPy, which is four times as fast as torch."""
    if scores.device.type != "cpu":
        return scores.argsort(-1)
    return torch.from_numpy(np.argsort(scores.detach().numpy(), axis=-1))
