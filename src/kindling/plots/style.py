"""How pictures and tables look: sizes, user's text, colours that colour-blind eyes tell apart (Okabe and Ito 2008)."""

import re
from collections.abc import Sequence
from functools import cache

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


def plain(text: object, most: int = 40) -> str:
    """Return a user's text (a name, an option's value) so that matplotlib draws it as it is, on one line.

    Dollar signs start no formula, a leading underscore does not hide a legend's entry, and a character that the font
    lacks is written as its code point. Of more than `most` characters the middle is left out.
    """
    text = " ".join(str(text).split()) or "(empty)"
    if not (text.isascii() and text.isprintable()):
        known = _glyphs()
        text = "".join(c if ord(c) in known else c.encode("ascii", "backslashreplace").decode() for c in text)
        text = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)
    text = shortened(text, most).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def shortened(text: str, most: int) -> str:
    """Return the text, of more than `most` characters without its middle."""
    return text if len(text) <= most else text[: most // 2 - 1] + "…" + text[-(most - most // 2) :]


@cache
def _glyphs() -> set[int]:
    """Return the code points that the configured fonts can draw."""
    from matplotlib import font_manager, rcParams

    found: set[int] = set()
    for family in rcParams["font.family"]:
        file = font_manager.findfont(font_manager.FontProperties(family=[family]))
        found |= set(font_manager.get_font(file).get_charmap())
    return found


def markdown_table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a Markdown table; the first one is the header."""
    lines = [[str(cell) if isinstance(cell, int) else markdown(cell) for cell in row] for row in rows]
    lines.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(text: object) -> str:
    """Return a user's text so that Markdown shows it as it is, on one line and in a table's cell."""
    special = r"([\\|*`]|(?<!\w)_|_(?!\w))"
    return re.sub(special, r"\\\1", " ".join(str(text).split())).replace("<", "&lt;")
