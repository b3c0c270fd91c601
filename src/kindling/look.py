"""How pictures look: sizes, and colours that colour-blind eyes tell apart (Okabe and Ito 2008)."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FAINT = "#999999"


def figure(width: float, height: float):
    """A matplotlib Figure of that many inches."""
    from matplotlib.figure import Figure  # 0.5 s, so not before training

    return Figure(figsize=(width, height), dpi=100)


def style():
    """A context in which text is smaller than matplotlib's own, and nowhere else."""
    import matplotlib

    return matplotlib.rc_context({"font.size": 8, "axes.titlesize": 9})


def diverging():
    """From the first class's colour over white to the second's, paler than points are."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two", [pale(COLOURS[0]), (1, 1, 1), pale(COLOURS[1])])


def pale(colour: str) -> list[float]:
    """Red, green and blue, 0 to 1, of "#rrggbb" mixed with white."""
    return [0.45 + 0.55 * int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def scatter_style(n: int) -> dict:
    """Dots that leave room for n of them."""
    return {"marker": ".", "linestyle": "none", "color": COLOURS[0], "markersize": 5 if n < 500 else 2, "alpha": 0.6}
