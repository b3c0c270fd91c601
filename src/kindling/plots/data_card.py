"""Draw the target and the raw columns of a table: histograms, frequent values, dates and missing values."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kindling.data.base import Data
from kindling.data.examples import Column
from kindling.plots.style import COLOURS, figure, pale, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 16
COLUMNS = 4  # panels in a row
BINS = 24
MAX_VALUES = 5  # most frequent values of a category that are shown
WIDTH, HEIGHT = 0.88, 0.62  # of the chart in a panel, which is a square of size 1
LINE = (HEIGHT + 0.1) / MAX_VALUES  # height of a value's bar, with the gap below it


@dataclass
class Panel:
    """What is drawn of a column.

    Args:
        name: of the column.
        shares: heights of the bars of a histogram, or the shares of the most frequent values.
        labels: the ends of the histogram, or the values.
        is_histogram: whether the bars are those of a histogram.
        missing: share of the samples without a value.
        is_target: whether the column is a target.
        more: number of values that are not shown.
    """

    name: str
    shares: list[float]
    labels: list[str]
    is_histogram: bool
    missing: float = 0.0
    is_target: bool = False
    more: int = 0


def draw_data(data: Data) -> "Figure":
    """Draw a panel for each target and column of a table, at most 16.

    All panels share one pair of axes, and all bars one collection, because separate ones would take ten times as long.
    """
    from matplotlib.collections import PolyCollection

    examples, targets = data.examples, _target_panels(data)
    shown, total = targets[: MAX_PANELS // 2], len(targets) + examples.x.shape[1]
    names = examples.columns if examples.columns else [f"x{i}" for i in range(examples.x.shape[1])]
    for i, name in enumerate(names[: MAX_PANELS - len(shown)]):
        shown.append(_panel(name, examples.x[:, i].double(), examples.kinds.get(name)))
    rows = -(-len(shown) // COLUMNS)
    fig = figure(9.0, 0.5 + 1.5 * rows)
    axes = fig.add_axes((0.01, 0.01, 0.98, 1 - 0.4 / (0.5 + 1.5 * rows)))
    axes.set(xlim=(0, COLUMNS), ylim=(rows, 0))
    axes.axis("off")
    more = f", {MAX_PANELS} of {total} columns" if total > MAX_PANELS else ""
    axes.set_title(f"{len(examples.y):,} samples before scaling{more} (orange: target)", fontsize=9)
    places = [(i % COLUMNS + 0.04, i // COLUMNS + 0.2) for i in range(len(shown))]
    bars = [_bars(panel, *place) for panel, place in zip(shown, places, strict=True)]
    colours = [pale(COLOURS[1] if panel.is_target else COLOURS[0]) for panel in shown]
    axes.add_collection(
        PolyCollection(
            [bar for several in bars for bar in several],
            facecolors=[colour for colour, several in zip(colours, bars, strict=True) for _ in several],
        )
    )
    for panel, place in zip(shown, places, strict=True):
        _write(axes, panel, *place)
    return fig


def _target_panels(data: Data) -> list[Panel]:
    examples, y = data.examples, data.examples.y.double()
    if examples.task == "regression":
        names = examples.targets if len(examples.targets) == y.shape[1] else [f"target {i}" for i in range(y.shape[1])]
        return [replace(_histogram(name, y[:, i]), is_target=True) for i, name in enumerate(names)]
    if examples.task == "multilabel":
        names = list(examples.class_names) or [str(i) for i in range(y.shape[1])]
        return [replace(_values("labels", y.mean(0), names), is_target=True)]
    names = list(examples.class_names) or ["0", "1"]
    counts = torch.bincount(y.long().flatten(), minlength=len(names))
    name = examples.targets[0] if examples.targets else "class"
    return [replace(_values(name, counts / len(y), names), is_target=True)]


def _panel(name: str, column: Tensor, kind: Column | None) -> Panel:
    missing = column.isnan().double().mean().item()
    present = column[~column.isnan()]
    if not len(present):
        return Panel(name, [], [], is_histogram=True, missing=missing)
    if kind is not None and kind.kind != "date":
        known = present[present >= 0].long()
        panel = _values(name, torch.bincount(known, minlength=len(kind.values)) / len(present), kind.values)
    else:
        panel = _histogram(name, present)
    if kind is not None and kind.kind == "date":
        panel.labels = [str(np.datetime64(int(end.floor()), "D")) for end in present.aminmax()]
    panel.missing = missing
    return panel


def _histogram(name: str, values: Tensor) -> Panel:
    low, high = values.min().item(), values.max().item()
    bins, span = BINS, (low, high)
    if (values % 1 == 0).all():  # each bar has the same number of integers
        width = math.ceil((high - low + 1) / BINS)
        bins = math.ceil((high - low + 1) / width)
        span = (low - 0.5, low - 0.5 + bins * width)
    labels = [f"{end:,.0f}" if 10_000 <= abs(end) < 1e9 else f"{end:.4g}" for end in (low, high)]
    labels = labels if labels[0] != labels[1] else [f"{low:.10g}", f"{high:.10g}"]
    counts = torch.histc(values, bins, *span) if high > low else torch.tensor([float(len(values))])
    return Panel(name, (counts / counts.max()).tolist(), labels, is_histogram=True)


def _values(name: str, shares: Tensor, values: list[str]) -> Panel:
    frequent = shares.argsort(descending=True, stable=True)[:MAX_VALUES].tolist()
    labels = [f"{values[i]} ({percent(shares[i].item())})" for i in frequent]
    return Panel(name, shares[frequent].tolist(), labels, is_histogram=False, more=max(0, len(values) - MAX_VALUES))


def percent(share: float) -> str:
    """Return a share as a percentage that is only 0 or 100 if the share is."""
    return "<1%" if 0 < share < 0.005 else ">99%" if 0.995 < share < 1 else f"{share:.0%}"


def _bars(panel: Panel, left: float, top: float) -> list[list[tuple[float, float]]]:
    """Return the corners of the bars."""
    if panel.is_histogram:
        width, bottom = WIDTH / max(1, len(panel.shares)), top + HEIGHT
        edges = [left + i * width for i in range(len(panel.shares))]
        boxes = [(x, bottom - HEIGHT * h, x + 0.95 * width, bottom) for x, h in zip(edges, panel.shares, strict=True)]
    else:
        edges = [top + i * LINE for i in range(len(panel.shares))]
        boxes = [(left, y, left + WIDTH * share, y + 0.9 * LINE) for y, share in zip(edges, panel.shares, strict=True)]
    return [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes]


def _write(axes: "Axes", panel: Panel, left: float, top: float) -> None:
    """Write the name, the share of missing values and the labels."""
    right, bottom = left + WIDTH, top + HEIGHT
    axes.text(left, top - 0.06, plain(panel.name, 28), fontsize=8, weight="bold")
    notes = [f"+{panel.more} values"] * bool(panel.more) + [f"{percent(panel.missing)} missing"] * bool(panel.missing)
    if notes:
        axes.text(right, top - 0.06, ", ".join(notes), fontsize=7, ha="right", color=COLOURS[1])
    if panel.is_histogram:
        for label, x, align in zip(panel.labels, (left, right), ("left", "right"), strict=False):
            axes.text(x, bottom + 0.12, label, fontsize=7, ha=align, color="#555555")
    for i, label in enumerate([] if panel.is_histogram else panel.labels):
        axes.text(left + 0.02, top + (i + 0.45) * LINE, plain(label, 34), fontsize=7, va="center")
