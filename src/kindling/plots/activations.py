"""Draw all activation functions with their derivatives: `python -m kindling pictures activations`."""

import math
from typing import TYPE_CHECKING

import torch

from kindling.models.activation_modules import activation_module
from kindling.plots.style import COLOURS, FAINT, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FROM, TO, POINTS = -4.0, 4.0, 401


def values(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return x, the activation at x, and its derivative by autograd, which for step and sign is the one in training."""
    x = torch.linspace(FROM, TO, POINTS, dtype=torch.float64, requires_grad=True)
    module = activation_module(name).double().eval()
    y = module(x[:, None])[:, 0]
    derivative = torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else torch.zeros_like(x)
    return x.detach(), y.detach(), derivative


def draw_activations(names: list[str]) -> "Figure":
    columns = 6
    rows = math.ceil(len(names) / columns)
    fig = figure(1.9 * columns, 1.65 * rows + 0.3)
    for i, name in enumerate(names):
        axes = fig.add_subplot(rows, columns, i + 1)
        x, y, derivative = values(name)
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        axes.plot(x, y, color=COLOURS[0], linewidth=1.6)
        axes.plot(x, derivative, color=COLOURS[1], linewidth=1.2, linestyle="--")
        axes.set(ylim=(-2, 3), xlim=(FROM, TO), title=name)
        axes.tick_params(labelsize=6)
    fig.suptitle("Activation functions (blue) and their derivatives (orange, dashed)", fontsize=9)
    fig.tight_layout()
    return fig
