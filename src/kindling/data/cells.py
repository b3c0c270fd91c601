"""Convert the cells of a CSV column to numbers or labels."""

import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

# In a column of numbers these mark a missing value, as in pandas. In a column of labels they are labels.
MARKERS = frozenset(
    ["NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "Null", "null", "None", "none", "<NA>", "#N/A", "#NA"]
)
BOOLEANS = {"true": 1.0, "false": 0.0}
THOUSANDS = {
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
SPACED = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")  # between thousands
DECIMAL_COMMA = re.compile(r"[+-]?[\d.]*,\d+([eE][+-]?\d+)?")


def to_number(text: str, decimal: str = ".") -> float | None:
    """Return the number in a cell, with the given decimal separator and the other one between thousands, or None."""
    text = SPACED.sub("", text.strip().replace("\u2212", "-"))
    other = "," if decimal == "." else "."
    if other in text:
        if not THOUSANDS[decimal].fullmatch(text):
            return None
        text = text.replace(other, "")
    try:
        number = float(text.replace(decimal, ".")) if "_" not in text else math.nan
    except ValueError:
        return None
    return None if math.isnan(number) else number


def is_decimal_comma(text: str, separator: str) -> bool:
    """Return whether a cell can only be a number with a decimal comma; "1,234" between commas means 1234."""
    text = text.strip()
    thousands = separator == "," and THOUSANDS["."].fullmatch(text)
    return DECIMAL_COMMA.fullmatch(text) is not None and not thousands and to_number(text, ",") is not None


def to_numbers(
    cells: pd.Series, decimal: str = ".", is_missing: Callable[[str], bool] = lambda text: False
) -> tuple[np.ndarray, np.ndarray]:
    """Convert a column to float64.

    Args:
        cells: the column.
        decimal: the decimal separator.
        is_missing: whether a string marks a missing value, like an empty cell.

    Returns:
        The values (N,), NaN where missing or not a number, and whether each cell (N,) is not a number.
    """
    if cells.dtype.kind in "iufb":
        return cells.to_numpy("float64"), np.zeros(len(cells), bool)
    codes, texts = texts_of(cells)
    absent = [is_missing(text) for text in texts]
    if all(missing or text.lower() in BOOLEANS for missing, text in zip(absent, texts, strict=True)):
        numbers: list[float | None] = [BOOLEANS.get(text.lower()) for text in texts]
    else:
        numbers = [None if missing else to_number(text, decimal) for missing, text in zip(absent, texts, strict=True)]
    invalid = [number is None and not missing for number, missing in zip(numbers, absent, strict=True)]
    values = [math.nan if number is None else number for number in numbers]
    return np.array([*values, math.nan])[codes], np.array([*invalid, False])[codes]  # the last ones are for code -1


def cut(text: str) -> str:
    """Shorten the text of a cell for a message."""
    return text if len(text) <= 50 else f"{text[:50]}..."


def texts_of(cells: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return the index of each cell (N,) in the list of distinct texts, -1 if empty, and that list.

    Surrounding white space is removed.
    """
    categorical = isinstance(cells.dtype, pd.CategoricalDtype)
    codes, found = (cells.cat.codes, cells.cat.categories) if categorical else pd.factorize(cells)
    stripped = [str(text).strip() for text in found]
    index = {text: i for i, text in enumerate(text for text in dict.fromkeys(stripped) if text)}
    return np.array([*(index.get(text, -1) for text in stripped), -1])[codes], list(index)
