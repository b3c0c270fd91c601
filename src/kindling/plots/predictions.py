"""Figures of predictions: ROC, precision-recall and calibration curves; for a regression, residuals."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics.functional import classification as functional

from kindling.plots.style import COLOURS, FAINT, figure, plain, scatter_style
from kindling.training.result import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Curve:
    """The points of a one-vs-rest curve, highest threshold first, and the area under it."""

    x: Tensor
    y: Tensor
    area: float


def roc(scores: Tensor, positive: Tensor) -> Curve:
    """Return the true positive rate against the false positive rate, with a point for every distinct score.

    Args:
        scores: (N,).
        positive: (N,), whether each sample is positive.
    """
    x, y, _ = functional.binary_roc(scores, positive.long())
    return Curve(x, y, torch.trapezoid(y, x).item())


def precision_recall(scores: Tensor, positive: Tensor) -> Curve:
    """Return precision against recall; the area is the average precision, because interpolation is too optimistic."""
    precision, recall, _ = functional.binary_precision_recall_curve(scores, positive.long())
    precision, recall = (part.flip(0)[1:] for part in (precision, recall))  # without the added point at recall 0
    return Curve(recall, precision, functional.binary_average_precision(scores, positive.long()).item())


def calibration(probability: Tensor, positive: Tensor, bins: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean probability, share of positive samples and number of samples of each non-empty bin of equal width."""
    place = (probability * bins).long().clamp(0, bins - 1)
    n = torch.bincount(place, minlength=bins)
    sums = [torch.bincount(place, weights=value.double(), minlength=bins) for value in (probability, positive)]
    return sums[0][n > 0] / n[n > 0], sums[1][n > 0] / n[n > 0], n[n > 0]


def one_against_rest(probabilities: Tensor, y: Tensor, names: list[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return name -> probability (N,) and truth (N,), for the second of two classes, or for each class or label.

    Args:
        probabilities: (N, K), with K = 1 for two classes.
        y: (N,) class indices, or (N, K) zeros and ones.
    """
    if y.dim() == 1:
        y = torch.nn.functional.one_hot(y, probabilities.shape[1])
    names = names[-1:] if y.shape[1] == 1 else names
    return {name: (probabilities[:, k], y[:, k].bool()) for k, name in enumerate(names)}


def draw_curves(classes: dict[str, tuple[Tensor, Tensor]], confidence: tuple[Tensor, Tensor], title: str) -> "Figure":
    """Draw ROC, precision-recall and calibration curves side by side.

    Args:
        classes: from `one_against_rest`.
        confidence: probabilities (N,) and whether each prediction was correct (N,), for the calibration.
    """
    fig = figure(10.5, 3.7)
    left, middle, right = (fig.add_axes((0.06 + 0.325 * i, 0.15, 0.26, 0.69)) for i in range(3))
    shown = {name: pair for name, pair in classes.items() if 0 < pair[1].sum() < len(pair[1])}
    for axes, curve_of in ((left, roc), (middle, precision_recall)):
        for i, (name, pair) in enumerate(shown.items()):
            curve = curve_of(*pair)
            colour, line = COLOURS[i % len(COLOURS)], ("-", "--", ":")[i // len(COLOURS) % 3]
            label = f"{plain(name, 24)} {curve.area:.3f}"
            axes.plot(curve.x, curve.y, label=label, linewidth=1.5, color=colour, linestyle=line)
        if 0 < len(shown) <= 12:
            axes.legend(fontsize=7, loc="lower right" if axes is left else "lower left")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    means, shares, n = calibration(*confidence)
    right.plot(means, shares, color=COLOURS[0], linewidth=1)
    right.scatter(means, shares, s=8 + 120 * n / n.max(), color=COLOURS[0])
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC curve (legend: area under it)")
    middle.set(xlabel="recall", ylabel="precision", title="precision-recall (legend: average precision)")
    right.set(xlabel="predicted probability", ylabel="share of samples where it is true")
    right.set(title="calibration (dot size: number of samples)")
    for axes in (left, middle, right):
        # Few ticks, because they take most of the time of drawing a small figure.
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    fig.text(0.01, 0.95, title, fontsize=9)
    return fig


def draw_regression(predicted: Tensor, true: Tensor, names: list[str], title: str) -> "Figure":
    """Draw predicted against true values (N, K), and residuals, for each of K targets, in the targets' units."""
    k = true.shape[1]
    fig = figure(8.5, 3.6 * k)
    for i in range(k):
        left, right = (fig.add_axes((0.1 + 0.48 * j, (k - 1 - i + 0.16) / k, 0.38, 0.66 / k)) for j in range(2))
        p, t = predicted[:, i], true[:, i]
        low, high = min(p.min(), t.min()).item(), max(p.max(), t.max()).item()
        left.plot([low, high], [low, high], color=FAINT, linewidth=1)
        left.plot(t, p, **scatter_style(len(t)))
        name = plain(names[i])
        left.set(xlabel=f"true {name}", ylabel=f"predicted {name}", title="predicted vs. true values (line: equal)")
        right.axhline(0, color=FAINT, linewidth=1)
        right.plot(p, t - p, **scatter_style(len(t)))
        rmse = (t - p).square().mean().sqrt().item()
        right.set(xlabel=f"predicted {name}", ylabel="true - predicted", title=f"residuals (RMSE {number(rmse)})")
    fig.text(0.01, 1 - 0.2 / (3.6 * k), title, fontsize=9)
    return fig
