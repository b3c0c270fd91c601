"""What the doctor looks at: how training went, and what the data is like."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kindling.data.features import feature_names
from kindling.data.transforms import is_constant
from kindling.models.capture import inside
from kindling.tasks.metrics import r2

ENDS = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.Softsign: (-1.0, 1.0), nn.Hardsigmoid: (0.0, 1.0)}
NEAR = 0.05  # of the range: as near to an end of it an output counts as saturated
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)


@dataclass
class Look:
    """At one epoch (0: before training).

    gradients: root mean square of each weight matrix's gradient, from the first layer to the last.
    norm: of the whole gradient.
    loss: of the rows looked at.
    dead: share of the rectified units that are 0 for all these rows, None without such units.
    saturated: share of the outputs of bounded activations that are at an end of their range, None without such.
    """

    epoch: int
    gradients: list[float]
    norm: float
    loss: float
    dead: float | None
    saturated: float | None


@dataclass
class History:
    """Of a run, an element an epoch; NaN where there was none."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


def look(model, x: Tensor, y: Tensor, epoch: int) -> Look:
    """At a model of ours with rows x, y: in evaluation mode, and without a change to the model or to random numbers."""
    layers, (loss, gradients, outputs) = dict(model.named_modules()), inside(model, x, y)
    rectified = [out for name, out in outputs.items() if isinstance(layers[name], RECTIFIERS)]
    bounded = [_place(out, ENDS[type(layers[name])]) for name, out in outputs.items() if type(layers[name]) in ENDS]
    dead = [(out == 0).flatten(2).all(2).all(0) if out.dim() > 2 else (out == 0).all(0) for out in rectified]
    return Look(
        epoch,
        [g.square().mean().sqrt().item() for g in gradients.values() if g.dim() > 1],
        sum(g.double().square().sum().item() for g in gradients.values()) ** 0.5,
        loss=loss,
        dead=torch.cat(dead).float().mean().item() if dead else None,
        saturated=torch.cat([b.flatten() for b in bounded]).float().mean().item() if bounded else None,
    )


def _place(out: Tensor, ends: tuple[float, float]) -> Tensor:
    """Whether each output is at an end of the range."""
    share = (out - ends[0]) / (ends[1] - ends[0])
    return (share < NEAR) | (share > 1 - NEAR)


def scales(data) -> tuple[float, str] | None:
    """The largest standard deviation of a training input column over the smallest, as the model is given them.

    With it the name of the column of the largest; None for inputs of less than two columns.
    """
    x = data.samples["train"][0]
    if x.dim() != 2 or x.shape[1] < 2:
        return None
    deviations = x.double().std(0, correction=0)
    some = deviations[~is_constant(x.double(), x.dtype)]
    if len(some) < 2:
        return None
    widest = int(deviations.argmax())
    names = feature_names(data.examples.columns, data.features, data.degree) if data.examples.columns else []
    return (some.max() / some.min()).item(), names[widest] if names else f"column {widest}"


def widest(data) -> float:
    """Return the largest standard deviation of a training input column; of images 1, because they are scaled."""
    x = data.samples["train"][0]
    return x.double().std(0, correction=0).max().item() if x.dim() == 2 else 1.0


def steepest(data) -> float | None:
    """Return the largest curvature of a linear model's loss over its weights, or a bound of it; None of wide inputs.

    Of squared error that of mean (w x + b - y)^2; of binary cross-entropy at most an eighth of it, of cross-entropy at
    most a quarter.
    """
    x = data.samples["train"][0][:10_000]
    if x.dim() != 2 or x.shape[1] > 1000:
        return None
    x = nn.functional.pad(x.double(), (0, 1), value=1.0)
    most = torch.linalg.eigvalsh(x.T @ x / len(x))[-1].item()
    return 2 * most if data.examples.task == "regression" else most / 2


def class_counts(data, stage: str) -> dict[str, int] | None:
    """Return the number of samples of each class; None without classes that exclude each other."""
    if data.examples.task not in ("binary", "multiclass"):
        return None
    names, y = data.examples.class_names, data.samples[stage][1]
    return dict(zip(names, torch.bincount(y.flatten().long(), minlength=len(names)).tolist(), strict=True))


def simple_scores(data) -> dict[str, float]:
    """Validation score of a constant and of a least-squares line: accuracy, or r2; empty without rows to score.

    The constant class is the one that scores best, as that of the training rows is near 0.5 or below by chance.

    Wide inputs (over 1,000 columns) have no line: it would take longer than to train.
    """
    (x, y), (x_val, y_val) = data.samples["train"], data.samples["val"]
    if not len(y_val) or data.examples.task == "multilabel":
        return {}
    classes = data.examples.task != "regression"
    if classes:
        k = max(2, len(data.examples.class_names))
        labels, goal = y.flatten().long(), y_val.flatten().long()
        y = nn.functional.one_hot(labels, k).double()
        scores = {"the most frequent class": goal.bincount().max().item() / len(goal)}
    else:
        y, goal = y.double(), y_val.double()
        scores = {"the mean": r2(y.mean(0).expand_as(goal), goal).item()}
    if x.dim() == 2 and x.shape[1] <= 1000:
        x, x_val = (nn.functional.pad(part.double(), (0, 1), value=1.0) for part in (x, x_val))
        preds = x_val @ torch.linalg.lstsq(x, y, driver="gelsd").solution
        score = (preds.argmax(1) == goal).double().mean() if classes else r2(preds, goal)
        scores["a straight line"] = score.item()
    return scores
