"""Draw the loss against the learning rate."""

import math
from typing import TYPE_CHECKING

from kindling.plots.style import COLOURS, FAINT, figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_range(steps: list[tuple[float, float, float]], suggested: float | None) -> "Figure":
    """Draw (learning rate, loss, smoothed loss) of every step, and the suggested learning rate."""
    rates, losses, smoothed = zip(*steps, strict=True)
    with style():
        fig = figure(5.4, 3.6)
        axes = fig.add_subplot(title="Loss during training steps with an increasing learning rate")
        axes.plot(rates, losses, color=FAINT, linewidth=0.6, label="loss of the mini-batch")
        axes.plot(rates, smoothed, color=COLOURS[0], label="smoothed loss")
        if suggested:
            axes.axvline(suggested, color=COLOURS[1], linestyle="--", label=f"suggested learning rate: {suggested:g}")
        finite = [loss for loss in smoothed if math.isfinite(loss)]
        top = 2 * finite[0] - min(finite) if finite else None
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(None, top))
        axes.legend()
        fig.tight_layout()
    return fig
