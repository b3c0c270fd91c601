"""Turn the cells of a CSV's column into numbers or labels."""

import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

# In a column of numbers these mean that there is no value, as for pandas. In a column of labels they are labels.
MARKERS = frozenset(
    ["NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "Null", "null", "None", "none", "<NA>", "#N/A", "#NA"]
)
BOOLEANS = {"true": 1.0, "false": 0.0}
THOUSANDS = {
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
DECIMAL_COMMA = re.compile(r"[+-]?[\d.]*,\d+([eE][+-]?\d+)?")


def to_number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a cell holds, with a decimal point or comma and the other one between thousands."""
    text = text.strip()
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
    """Whether a cell can only be a number with a decimal comma; between commas 1,234 is a thousand."""
    text = text.strip()
    thousands = separator == "," and THOUSANDS["."].fullmatch(text)
    return DECIMAL_COMMA.fullmatch(text) is not None and not thousands and to_number(text, ",") is not None


def to_numbers(
    cells: pd.Series, decimal: str = ".", is_missing: Callable[[str], bool] = lambda text: False
) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as float64, with NaN for a cell without a value, and which cells (N,) are not numbers.

    Args:
        is_missing: whether a text counts as no value, as an empty cell does.
    """
    if cells.dtype.kind in "iufb":
        return cells.to_numpy("float64"), np.zeros(len(cells), bool)
    codes, texts = texts_of(cells)
    gone = [is_missing(text) for text in texts]
    if all(missing or text.lower() in BOOLEANS for missing, text in zip(gone, texts, strict=True)):
        numbers = [BOOLEANS.get(text.lower()) for text in texts]
    else:
        numbers = [None if missing else to_number(text, decimal) for missing, text in zip(gone, texts, strict=True)]
    odd = [number is None and not missing for number, missing in zip(numbers, gone, strict=True)]
    values = [math.nan if number is None else number for number in numbers]
    return np.array([*values, math.nan])[codes], np.array([*odd, False])[codes]  # the last are of the code -1


def cut(text: str) -> str:
    """Return a cell short enough for a message."""
    return text if len(text) <= 50 else f"{text[:50]}..."


def texts_of(cells: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return which of the different texts of a column each cell has (N,), -1 for an empty one, and these texts.

    They are without white space around them.
    """
    categorical = isinstance(cells.dtype, pd.CategoricalDtype)
    codes, found = (cells.cat.codes, cells.cat.categories) if categorical else pd.factorize(cells)
    stripped = [str(text).strip() for text in found]
    place = {text: i for i, text in enumerate(text for text in dict.fromkeys(stripped) if text)}
    return np.array([*(place.get(text, -1) for text in stripped), -1])[codes], list(place)
