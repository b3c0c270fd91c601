"""Measurements of the training and the data for the doctor."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kindling.data.base import Data
from kindling.data.preprocessing.encoding import is_code
from kindling.data.preprocessing.scaling import is_constant
from kindling.models.base import Model
from kindling.models.capture import inside
from kindling.tasks.metrics import r2

LIMITS = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.Softsign: (-1.0, 1.0), nn.Hardsigmoid: (0.0, 1.0)}
MAX_VALUES = 10_000_000  # input values from which statistics of the data are computed
NEAR = 0.05  # distance from the limits, relative to the range, within which an output counts as saturated
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)


@dataclass
class Snapshot:
    """Measurements of the model at the end of one epoch on some training samples.

    Args:
        epoch: number of the epoch, from 1; 0: before training.
        gradients: root mean square of the gradient of each weight matrix, from the first layer to the last.
        norm: norm of the whole gradient.
        loss: loss of the samples.
        dead: fraction of the rectified units that are 0 for all samples, or None without such units.
        saturated: fraction of the outputs of bounded activations at the limits of their range, or None without such.
    """

    epoch: int
    gradients: list[float]
    norm: float
    loss: float
    dead: float | None
    saturated: float | None


@dataclass
class History:
    """Losses of a run per epoch, NaN if there was none, and the snapshots of the model."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)


def take_snapshot(model: Model, x: Tensor, y: Tensor, epoch: int) -> Snapshot:
    """Measure a model on the samples x, y in evaluation mode, without changing it or the random state."""
    layers, (loss, gradients, outputs) = dict(model.named_modules()), inside(model, x, y)
    rectified = [out for name, out in outputs.items() if isinstance(layers[name], RECTIFIERS)]
    bounded = [
        _is_at_limit(out, LIMITS[type(layers[name])]) for name, out in outputs.items() if type(layers[name]) in LIMITS
    ]
    dead = [(out == 0).flatten(2).all(2).all(0) if out.dim() > 2 else (out == 0).all(0) for out in rectified]
    return Snapshot(
        epoch,
        [g.square().mean().sqrt().item() for g in gradients.values() if g.dim() > 1],
        sum(g.double().square().sum().item() for g in gradients.values()) ** 0.5,
        loss=loss,
        dead=torch.cat(dead).float().mean().item() if dead else None,
        saturated=torch.cat([b.flatten() for b in bounded]).float().mean().item() if bounded else None,
    )


def _is_at_limit(out: Tensor, limits: tuple[float, float]) -> Tensor:
    """Return whether each output is at a limit of the range."""
    position = (out - limits[0]) / (limits[1] - limits[0])
    return (position < NEAR) | (position > 1 - NEAR)


def _some(data: Data) -> tuple[Tensor, Tensor]:
    """Return evenly spaced training samples, with at most ten million input values."""
    x, y = data.samples["train"]
    step = -(-x.numel() // MAX_VALUES)
    return x[::step], y[::step]


def scales(data: Data) -> tuple[float, str] | None:
    """Return the ratio of the largest and smallest standard deviation of the model's input columns.

    Returns:
        The ratio and the name of the column with the largest, or None with less than two columns.
    """
    x, _ = _some(data)
    if x.dim() != 2 or x.shape[1] < 2:
        return None
    deviations = x.double().std(0, correction=0)
    if encoding := data.transform.get("encoding") if data.features == "none" else None:
        deviations = torch.where(torch.tensor(is_code(encoding)), 0.0, deviations)  # rare categories vary little
    varying = deviations[~is_constant(x.double(), x.dtype) & (deviations > 0)]
    if len(varying) < 2:
        return None
    widest = int(deviations.argmax())
    names = data.input_names
    return (varying.max() / varying.min()).item(), names[widest] if names else f"column {widest}"


def widest(data: Data) -> float:
    """Return the largest standard deviation of an input column; 1 for images, because they are scaled."""
    x, _ = _some(data)
    return x.double().std(0, correction=0).max().item() if x.dim() == 2 else 1.0


def curvature(data: Data) -> float | None:
    """Return the largest curvature of a linear model's loss, or an upper bound; None for wide inputs.

    For the squared error it is that of mean (w x + b - y)^2; that of binary cross-entropy is at most an eighth of it,
    and that of cross-entropy at most a quarter.
    """
    x = data.samples["train"][0][:10_000]
    if x.dim() != 2 or x.shape[1] > 1000:
        return None
    x = nn.functional.pad(x.double(), (0, 1), value=1.0)
    largest = torch.linalg.eigvalsh(x.T @ x / len(x))[-1].item()
    return 2 * largest if data.examples.task == "regression" else largest / 2


def class_counts(data: Data, stage: str) -> dict[str, int] | None:
    """Return the number of samples of each class, or None without mutually exclusive classes."""
    if data.examples.task not in ("binary", "multiclass"):
        return None
    names, y = data.examples.class_names, data.samples[stage][1]
    return dict(zip(names, torch.bincount(y.flatten().long(), minlength=len(names)).tolist(), strict=True))


def simple_scores(data: Data) -> dict[str, float]:
    """Return the validation accuracy or R2 of a constant and of a least-squares linear model.

    The constant class is the most frequent one of the validation samples, because that of the training samples may
    score below 0.5 by chance. The result is empty without validation samples, and has no linear model for wide inputs
    (over 1,000 columns), for which fitting it would take longer than the training.
    """
    (x, y), (x_val, y_val) = _some(data), data.samples["val"]
    if not len(y_val) or data.examples.task == "multilabel":
        return {}
    is_classification = data.examples.task != "regression"
    if is_classification:
        k = max(2, len(data.examples.class_names))
        labels, target = y.flatten().long(), y_val.flatten().long()
        y = nn.functional.one_hot(labels, k).double()
        scores = {"the most frequent class": target.bincount().max().item() / len(target)}
    else:
        y, target = y.double(), y_val.double()
        scores = {"the mean": r2(y.mean(0).expand_as(target), target).item()}
    if x.dim() == 2 and x.shape[1] <= 1000:
        x, x_val = (nn.functional.pad(part.double(), (0, 1), value=1.0) for part in (x, x_val))
        preds = x_val @ torch.linalg.lstsq(x, y, driver="gelsd").solution
        score = (preds.argmax(1) == target).double().mean() if is_classification else r2(preds, target)
        scores["a linear model"] = score.item()
    return scores
