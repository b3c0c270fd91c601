"""Metrics over all rows of an epoch, of one net or of many at once: whatever stands before the rows is kept.

Not torchmetrics: its functions take one net at a time, and the same numbers are wanted from a net that is trained alone
and from one of a hundred trained together. Shapes: `...` is nothing, or (members,).
"""

import numpy as np
import torch
from torch import Tensor


def confusion_counts(preds: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """Counts (..., C, C), rows true, columns predicted, of class indices (..., N)."""
    cell = y.long() * num_classes + preds.long()
    cells = num_classes**2
    first = torch.arange(cell[..., 0].numel(), device=cell.device).view(*cell.shape[:-1], 1) * cells
    counts = torch.bincount((cell + first).flatten(), minlength=cell[..., 0].numel() * cells)
    return counts.view(*cell.shape[:-1], num_classes, num_classes)


def rates(counts: Tensor) -> dict[str, Tensor]:
    """Return accuracy, precision, recall and F1 of counts (..., K, 2, 2), each a mean over the K classes or labels.

    As in scikit-learn, a class that occurs and is never predicted has precision 0, one that is predicted and never
    occurs recall 0, and a class that does neither is left out of the means; NaN where all are left out.
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
    """(..., C, 2, 2) from counts (..., C, C): each class against all others."""
    hit = counts.diagonal(dim1=-2, dim2=-1)
    predicted, true = counts.sum(-2), counts.sum(-1)
    neither = counts.sum((-2, -1))[..., None] - predicted - true + hit
    return torch.stack([neither, predicted - hit, true - hit, hit], -1).unflatten(-1, (2, 2))


def auroc(scores: Tensor, y: Tensor) -> Tensor:
    """Area under the ROC curve (...), ties exact, of any scores (..., N) and y (..., N) of 0 and 1.

    It is the share of pairs of a positive and a negative row in which the positive one has the higher score (Mann and
    Whitney 1947). NaN where all rows are of one class.
    """
    order = _order(scores)
    ranked, positive = scores.gather(-1, order), y.expand(scores.shape).gather(-1, order).double()
    above = positive.cumsum(-1)  # positives up to and with this row
    positives, rows = above[..., -1], above.shape[-1]
    lost = above.sum(-1) - (above * positive).sum(-1)  # pairs in which the negative is higher
    tied = (ranked[..., 1:] == ranked[..., :-1]).any(-1)
    if tied.any():
        lost[tied] = _lost_with_ties(ranked[tied], above[tied])
    return 1 - lost / (positives * (rows - positives))


def _lost_with_ties(ranked: Tensor, above: Tensor) -> Tensor:
    """Pairs (K,) in which the negative is higher, and half of those of equal score, of scores (K, N) in their order."""
    rows = ranked.shape[-1]
    places = torch.arange(rows, device=ranked.device)
    ends = torch.nn.functional.pad(ranked[:, 1:] != ranked[:, :-1], (0, 1), value=True)
    # Rows of equal score are one step of the curve: all take its end's counts.
    end = torch.where(ends, places, rows).flip(-1).cummin(-1).values.flip(-1)
    height = torch.nn.functional.pad(above.gather(-1, end), (1, 0))
    width = torch.diff(torch.nn.functional.pad((places + 1 - above).gather(-1, end), (1, 0)))
    return (width * (height[:, 1:] + height[:, :-1])).sum(-1) / 2


def r2(preds: Tensor, y: Tensor) -> Tensor:
    """1 - residual / total squares (...), a mean over the outputs of (..., N, outputs) whose targets are not constant.

    NaN where all are: R2 is undefined then. (scikit-learn's r2_score has 1 or 0 there, or NaN with force_finite=False.)
    """
    preds, y = preds.double(), y.double()
    rest = ((preds - y) ** 2).sum(-2)
    total = ((y - y.mean(-2, keepdim=True)) ** 2).sum(-2)
    varies = y.amax(-2) > y.amin(-2)  # not total > 0: the mean of equal numbers is rounded
    return torch.where(varies, 1 - rest / total, torch.nan).nanmean(-1)


def in_unit(logits: Tensor, y: Tensor, std: list[float] | None) -> tuple[Tensor, Tensor]:
    """Return a regression's predictions and targets in the target's unit, as float64; others unchanged.

    Args:
        std: standard deviations by which the data has divided the targets, or None.
    """
    if std is None:
        return logits, y
    unit = torch.tensor(std, device=y.device, dtype=torch.float64)
    return logits.double() * unit, y.double() * unit


def _order(scores: Tensor) -> Tensor:
    """From low to high; on the CPU by numpy, whose sort is four times as fast as torch's."""
    if scores.device.type != "cpu":
        return scores.argsort(-1)
    return torch.from_numpy(np.argsort(scores.detach().numpy(), axis=-1))
