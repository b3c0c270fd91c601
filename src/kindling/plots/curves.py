"""Draw a run's metrics against the epoch."""

from typing import TYPE_CHECKING

from kindling.cli.monitor import split
from kindling.plots.style import COLOURS, FAINT, figure, plain, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curves(rows: list[dict[str, str]], best_epoch: int | None) -> "Figure | None":
    """Draw a panel for every training or validation metric in the rows of metrics.csv; return None without any."""
    places = {split(name): name for name in (rows[0] if rows else ()) if split(name)[0] in ("train", "val")}
    metrics = list(dict.fromkeys(metric for _, metric in places))
    if not metrics:
        return None
    columns = min(3, len(metrics))
    height = -(-len(metrics) // columns)
    epochs = [int(row["epoch"]) for row in rows]
    with style():
        fig = figure(3.1 * columns, 2.3 * height)
        for place, metric in enumerate(metrics, 1):
            axes = fig.add_subplot(height, columns, place)
            for stage, colour in zip(("train", "val"), COLOURS, strict=False):
                if (stage, metric) in places:
                    values = [float(row[places[stage, metric]] or "nan") for row in rows]
                    axes.plot(epochs, values, color=colour, label=stage, marker="." if len(rows) < 2 else None)
            if best_epoch:
                axes.axvline(best_epoch, color=FAINT, linewidth=0.8, label="best epoch")
            axes.set(title=plain(metric, 30), xlabel="epoch")
            axes.legend()
        fig.tight_layout()
    return fig
