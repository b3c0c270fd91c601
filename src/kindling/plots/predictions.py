"""Pictures of how a model does on rows: ROC, precision and recall, calibration; of a regression its residuals."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional import classification as functional

from kindling.plots.style import COLOURS, FAINT, figure, plain, scatter_style


@dataclass
class Curve:
    """Of one class against the others: points of a curve, from the strictest threshold on, and the area under it."""

    x: Tensor
    y: Tensor
    area: float


def roc(scores: Tensor, positive: Tensor) -> Curve:
    """False positive rate, true positive rate: a point for every distinct score (N,) of samples `positive` or not."""
    x, y, _ = functional.binary_roc(scores, positive.long())
    return Curve(x, y, torch.trapezoid(y, x).item())


def precision_recall(scores: Tensor, positive: Tensor) -> Curve:
    """Recall, precision. The area is the average precision: steps, as straight lines between points would flatter."""
    precision, recall, _ = functional.binary_precision_recall_curve(scores, positive.long())
    precision, recall = (part.flip(0)[1:] for part in (precision, recall))  # without the made-up point of recall 0
    return Curve(recall, precision, functional.binary_average_precision(scores, positive.long()).item())


def calibration(probability: Tensor, positive: Tensor, bins: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Mean probability, share of positive rows and number of rows, of those bins of equal width that have rows."""
    place = (probability * bins).long().clamp(0, bins - 1)
    n = torch.bincount(place, minlength=bins)
    sums = [torch.bincount(place, weights=value.double(), minlength=bins) for value in (probability, positive)]
    return sums[0][n > 0] / n[n > 0], sums[1][n > 0] / n[n > 0], n[n > 0]


def one_against_rest(probabilities: Tensor, y: Tensor, names: list[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Name -> probability (N,) and whether it is so (N,): of the second of two classes, else of each class or label.

    Args:
        probabilities: (N, K), of one column of two classes.
        y: (N,) class indices, or (N, K) of 0 and 1.
    """
    if y.dim() == 1:
        y = torch.nn.functional.one_hot(y, probabilities.shape[1])
    names = names[-1:] if y.shape[1] == 1 else names
    return {name: (probabilities[:, k], y[:, k].bool()) for k, name in enumerate(names)}


def draw_curves(of: dict[str, tuple[Tensor, Tensor]], confidence: tuple[Tensor, Tensor], title: str):
    """ROC, precision and recall, and calibration side by side.

    Args:
        of: from `one_against_rest`.
        confidence: a probability (N,) and whether it came true (N,), for the calibration.
    """
    fig = figure(10.5, 3.7)
    left, middle, right = (fig.add_axes((0.06 + 0.325 * i, 0.15, 0.26, 0.69)) for i in range(3))
    shown = {name: pair for name, pair in of.items() if 0 < pair[1].sum() < len(pair[1])}
    for axes, curve_of in ((left, roc), (middle, precision_recall)):
        for i, (name, pair) in enumerate(shown.items()):
            curve = curve_of(*pair)
            look = {"color": COLOURS[i % len(COLOURS)], "linestyle": ("-", "--", ":")[i // len(COLOURS) % 3]}
            axes.plot(curve.x, curve.y, label=f"{plain(name, 24)} {curve.area:.3f}", linewidth=1.5, **look)
        if 0 < len(shown) <= 12:
            axes.legend(fontsize=7, loc="lower right" if axes is left else "lower left")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    means, shares, n = calibration(*confidence)
    right.plot(means, shares, color=COLOURS[0], linewidth=1)
    right.scatter(means, shares, s=8 + 120 * n / n.max(), color=COLOURS[0])
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, area")
    middle.set(xlabel="recall", ylabel="precision", title="precision and recall, average precision")
    right.set(xlabel="probability", ylabel="came true", title="calibration (dot: number of rows)")
    for axes in (left, middle, right):
        # Ticks and their labels are most of the time that a small figure takes.
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    fig.text(0.01, 0.95, title, fontsize=9)
    return fig


def draw_regression(predicted: Tensor, true: Tensor, names: list[str], title: str):
    """Predicted against true, and what is left, for each target; (N, K) both, in the target's unit."""
    k = true.shape[1]
    fig = figure(8.5, 3.6 * k)
    for i in range(k):
        left, right = (fig.add_axes((0.1 + 0.48 * j, (k - 1 - i + 0.16) / k, 0.38, 0.66 / k)) for j in range(2))
        p, t = predicted[:, i], true[:, i]
        low, high = min(p.min(), t.min()).item(), max(p.max(), t.max()).item()
        left.plot([low, high], [low, high], color=FAINT, linewidth=1)
        left.plot(t, p, **scatter_style(len(t)))
        left.set(xlabel=f"true {plain(names[i])}", ylabel="predicted", title="predicted and true")
        right.axhline(0, color=FAINT, linewidth=1)
        right.plot(p, t - p, **scatter_style(len(t)))
        rmse = (t - p).square().mean().sqrt().item()
        right.set(xlabel="predicted", ylabel="true - predicted", title=f"residuals, root mean square {rmse:.4g}")
    fig.text(0.01, 1 - 0.2 / (3.6 * k), title, fontsize=9)
    return fig
