"""The style of figures and tables: sizes, user text, and colours that are colour-blind safe (Okabe and Ito 2008)."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FAINT = "#999999"


def figure(width: float, height: float) -> "Figure":
    """Make a figure of this size in inches."""
    from matplotlib.figure import Figure  # takes 0.5 s to import, so not before training

    return Figure(figsize=(width, height), dpi=100)


def style() -> AbstractContextManager[None]:
    """Return a context in which text is smaller than matplotlib's default."""
    import matplotlib

    return matplotlib.rc_context({"font.size": 8, "axes.titlesize": 9})


def diverging() -> "Colormap":
    """Return a colour map from the first class's colour over white to the second's, paler than the samples' colours."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two", [pale(COLOURS[0]), (1, 1, 1), pale(COLOURS[1])])


def pale(colour: str) -> list[float]:
    """Return red, green and blue, 0 to 1, of "#rrggbb" mixed with white."""
    return [0.45 + 0.55 * int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def scatter_style(n: int) -> dict[str, Any]:
    """Return the style of n dots, which are smaller if there are many."""
    return {"marker": ".", "linestyle": "none", "color": COLOURS[0], "markersize": 5 if n < 500 else 2, "alpha": 0.6}


def plain(text: object, max_length: int = 40) -> str:
    """Escape a user's text, e.g. a name, so that matplotlib draws it literally and on one line.

    Dollar signs do not start a formula, a leading underscore does not hide a legend entry, and characters that the font
    lacks are written as code points. The middle of longer texts is omitted.
    """
    text = " ".join(str(text).split()) or "(empty)"
    if not (text.isascii() and text.isprintable()):
        known = _glyphs()
        text = "".join(c if ord(c) in known else c.encode("ascii", "backslashreplace").decode() for c in text)
        text = re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)
    text = shortened(text, max_length).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def shortened(text: str, max_length: int) -> str:
    """Return the text, without its middle if it is too long."""
    half = max_length // 2
    return text if len(text) <= max_length else text[: half - 1] + "…" + text[-(max_length - half) :]


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
    """Format rows as a Markdown table; the first row is the header."""
    lines = [[str(cell) if isinstance(cell, int) else markdown(cell) for cell in row] for row in rows]
    lines.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(text: object) -> str:
    """Escape a user's text so that Markdown shows it literally, on one line and in a table cell."""
    special = r"([\\|*`]|(?<!\w)_|_(?!\w))"
    return re.sub(special, r"\\\1", " ".join(str(text).split())).replace("<", "&lt;")
