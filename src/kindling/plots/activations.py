"""Every activation that `activation=...` knows, with its derivative: `python -m kindling pictures activations`."""

import math

import torch

from kindling.models.activation_modules import activation_module
from kindling.plots.style import COLOURS, FAINT, figure

FROM, TO, POINTS = -4.0, 4.0, 401


def values(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, the activation at x, and its derivative as autograd has it, which for step and sign is that of training."""
    x = torch.linspace(FROM, TO, POINTS, dtype=torch.float64, requires_grad=True)
    module = activation_module(name).double().eval()
    y = module(x[:, None])[:, 0]
    # Step and sign pass no gradient on at all.
    slope = torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else torch.zeros_like(x)
    return x.detach(), y.detach(), slope


def draw_activations(names: list[str]):
    columns = 6
    rows = math.ceil(len(names) / columns)
    fig = figure(1.9 * columns, 1.65 * rows + 0.3)
    for i, name in enumerate(names):
        axes = fig.add_subplot(rows, columns, i + 1)
        x, y, slope = values(name)
        axes.axhline(0, color=FAINT, linewidth=0.6)
        axes.axvline(0, color=FAINT, linewidth=0.6)
        axes.plot(x, y, color=COLOURS[0], linewidth=1.6)
        axes.plot(x, slope, color=COLOURS[1], linewidth=1.2, linestyle="--")
        axes.set(ylim=(-2, 3), xlim=(FROM, TO), title=name)
        axes.tick_params(labelsize=6)
    fig.suptitle("activation (blue line) and its derivative (orange, dashed)", fontsize=9)
    fig.tight_layout()
    return fig
