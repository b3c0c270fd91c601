"""Positions and labels of an option's values on an axis of effects.png."""

from typing import Any

from matplotlib.axis import Axis, XAxis

from kindling.plots.style import plain
from kindling.sweeps.leaderboard.effects.estimate import number_of

MAX_TICKS = 14  # labelled values; if there are more, only some are labelled
MANY = 8  # if there are more values, numbers are placed by size and not at equal distances


def scale_of(values: list[str]) -> str | None:
    """Return "log" or "linear" for many numbers, "log" if they span two decades; None for other values."""
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if len(values) <= MANY or len(numbers) < len(values):
        return None
    return "log" if min(numbers) > 0 and max(numbers) >= 100 * min(numbers) else "linear"


def place(axis: Axis, values: list[str]) -> dict[str, float]:
    """Set the scale and the labels of an axis for these values, and return value -> position."""
    scale, is_x = scale_of(values), isinstance(axis, XAxis)
    if scale:
        axis.axes.set(**{"xscale" if is_x else "yscale": scale})
        return {value: float(value) for value in values}
    step = -(-len(values) // MAX_TICKS)
    places = list(range(0, len(values), step))
    names = [labels(values)[i] for i in places]
    slanted = is_x and sum(map(len, names)) + 2 * len(names) > 30
    look: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axis.set_ticks(places, names, fontsize=9, **look)
    axis.axes.set(**{"xlim": (-0.6, len(values) - 0.4)} if is_x else {})
    return {value: float(i) for i, value in enumerate(values)}


def labels(values: list[str]) -> list[str]:
    """Return the values as labels; long numbers are rounded to the fewest digits that distinguish them."""
    for digits in range(3, 18):
        found = [_rounded(value, digits) for value in values]
        if len(set(found)) == len(set(values)):
            break
    return [plain(value or "not given", 18) for value in found]


def _rounded(value: str, digits: int) -> str:
    number = number_of(value)
    return value if number is None or len(value) <= 6 else f"{number:.{digits}g}"
