"""Where an option's values stand on an axis of effects.png, and how they are written."""

from kindling.plots.style import plain
from kindling.sweeps.leaderboard.effects import number_of

MOST_TICKS = 14  # values with a label; of more, some
MANY = 8  # values; of more, numbers stand where they are and not at equal steps


def scale_of(values: list[str]) -> str | None:
    """Return "log" or "linear" for many numbers, "log" where they span two decades; None for other values."""
    numbers = [number_of(value) for value in values]
    if len(values) <= MANY or None in numbers:
        return None
    return "log" if min(numbers) > 0 and max(numbers) >= 100 * min(numbers) else "linear"


def place(axis, values: list[str]) -> dict[str, float]:
    """Return value -> place on a matplotlib axis, which gets the scale and the labels for them."""
    scale, across = scale_of(values), axis.axis_name == "x"
    if scale:
        axis.axes.set(**{f"{axis.axis_name}scale": scale})
        return {value: float(value) for value in values}
    step = -(-len(values) // MOST_TICKS)
    places = list(range(0, len(values), step))
    names = [labels(values)[i] for i in places]
    slanted = across and sum(map(len, names)) + 2 * len(names) > 30
    look = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axis.set_ticks(places, names, fontsize=9, **look)
    axis.axes.set(**{f"{axis.axis_name}lim": (-0.6, len(values) - 0.4)} if across else {})
    return {value: float(i) for i, value in enumerate(values)}


def labels(values: list[str]) -> list[str]:
    """Return the values as text for matplotlib: long numbers rounded to as few digits as tell them apart."""
    for digits in range(3, 18):
        found = [_rounded(value, digits) for value in values]
        if len(set(found)) == len(set(values)):
            break
    return [plain(value or "not given", 18) for value in found]


def _rounded(value: str, digits: int) -> str:
    number = number_of(value)
    return value if number is None or len(value) <= 6 else f"{number:.{digits}g}"
