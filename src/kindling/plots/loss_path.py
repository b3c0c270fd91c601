"""Draw the loss surface and the training path of a model with only two trainable weights."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kindling.data.base import Data
from kindling.data.preprocessing.transforms import target_scaling
from kindling.models.base import Model
from kindling.models.capture import for_model
from kindling.plots.style import COLOURS, figure, plain
from kindling.tasks.losses import weighted
from kindling.tasks.tasks import Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def two_parameters(model: nn.Module) -> list[str] | None:
    """Return the names of the parameters of a model with exactly two trainable weights; None for other models."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [name for name, _ in named] if sum(p.numel() for _, p in named) == 2 else None


def current_point(model: nn.Module) -> list[float]:
    """Return the current values of the two weights."""
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]).tolist()


def losses_at(model: Model, x: Tensor, y: Tensor, points: Tensor, loss: Loss | None = None) -> Tensor:
    """Return the loss (K,) of a model on samples x, y with its two weights set to each of `points` (K, 2).

    Args:
        model: the model.
        x, y: the samples.
        points: values of the two weights.
        loss: a function of logits and y; None: that of the model.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    sizes = [p.numel() for p in parameters.values()]

    def at(point: Tensor) -> Tensor:
        parts = zip(parameters.items(), point.split(sizes), strict=True)
        return (loss or model.loss)(functional_call(model, {name: v.view_as(p) for (name, p), v in parts}, (x,)), y)

    with torch.no_grad():
        return vmap(at, chunk_size=256)(points)


def draw_path(model: Model, data: Data, path: list[list[float]], title: str, side: int = 60) -> "Figure":
    """Draw contours of the training loss over the two weights, and the points (w, b) of the training path.

    Loss and weights are those of training; the axis labels state whether the data is scaled.
    """
    x, y = (for_model(model, t) for t in data.samples["train"])
    steps = torch.tensor(path)
    steps = steps[steps.isfinite().all(1)]
    low, high = steps.amin(0), steps.amax(0)
    margin = 0.35 * (high - low).clamp(min=0.2 * (high - low).max().item() + 1e-3)
    first, second = (torch.linspace(low[i] - margin[i], high[i] + margin[i], side) for i in (0, 1))
    points = torch.stack([first.repeat(side), second.repeat_interleave(side)], 1).to(x)
    loss = weighted(model.loss, data.weights.get("train"))
    losses = losses_at(model, x, y, points=points, loss=loss).view(side, side).float().clamp(min=1e-12).cpu()
    fig = figure(5.4, 4.4)
    axes = fig.add_axes((0.13, 0.11, 0.66, 0.78))
    filled = axes.contourf(first.numpy(), second.numpy(), losses.log10().numpy(), levels=20, cmap="Greys_r")
    fig.colorbar(filled, cax=fig.add_axes((0.82, 0.11, 0.03, 0.78))).set_label(
        f"log10 of the training loss{_scaled(data.transform, inputs=False)}"
    )
    axes.plot(*steps.T, color=COLOURS[1], linewidth=1, marker=".", markersize=4)
    axes.plot(*steps[0], marker="o", color="white", markeredgecolor="black")
    axes.plot(*steps[-1], marker="*", color=COLOURS[4], markeredgecolor="black", markersize=12)
    names = two_parameters(model) or []
    labels = [plain(name) for name in (names if len(names) == 2 else [f"{names[0]}[{i}]" for i in (0, 1)])]
    scaled = _scaled(data.transform)
    fig.text(0.13, 0.905, f"training loss and path of training (o: start, *: end), {title}", fontsize=9)
    axes.set(xlabel=f"{labels[0]}{scaled}", ylabel=f"{labels[1]}{scaled}")
    return fig


def _scaled(transform: dict[str, Any], inputs: bool = True) -> str:
    """Return which parts of the data are scaled, in brackets, or ""."""
    std, mean = target_scaling(transform)
    scaling = {"inputs": (transform["shift"], transform["factor"])} if inputs else {}
    scaling["target"] = mean.tolist(), std.tolist()
    found = [name for name, (shift, factor) in scaling.items() if set(shift) != {0.0} or set(factor) != {1.0}]
    return f" (scaled {' and '.join(found)})" if found else ""
