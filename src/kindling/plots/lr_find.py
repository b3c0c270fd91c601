"""The loss over the learning rate."""

import math

from kindling.plots.style import COLOURS, FAINT, figure, style


def draw_range(seen: list[tuple[float, float, float]], suggested: float | None):
    rates, losses, smoothed = zip(*seen, strict=True)
    with style():
        fig = figure(5.4, 3.6)
        axes = fig.add_subplot()
        axes.plot(rates, losses, color=FAINT, linewidth=0.6, label="a mini-batch")
        axes.plot(rates, smoothed, color=COLOURS[0], label="smoothed")
        if suggested:
            axes.axvline(suggested, color=COLOURS[1], linestyle="--", label=f"suggested: {suggested:g}")
        finite = [loss for loss in smoothed if math.isfinite(loss)]
        top = 2 * finite[0] - min(finite) if finite else None
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(None, top))
        axes.legend()
        fig.tight_layout()
    return fig
