"""The kind of each input column of a table: a number, a category, a boolean or a date."""

import logging
import re
from typing import Any

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.cells import BOOLEANS, MARKERS, cut, to_number
from kindling.data.examples import Column
from kindling.data.tables.columns import as_kind, as_option
from kindling.data.tables.csv_file import CsvFile
from kindling.data.tables.csv_header import UNNAMED
from kindling.data.tables.dates import date_format

log = logging.getLogger("kindling")

KINDS = ("number", "category", "boolean", "date", "ignored")
MIN_ROWS = 20  # in shorter tables no column is taken for an identifier
UNIQUE = 0.9  # share of distinct texts from which a column identifies the rows
MAX_WORDS = 5  # average number of words in a cell from which a column is free text
MANY, ROWS_PER_VALUE = 50, 3  # a category with more values, and fewer rows for each, may be an identifier
MAX_COMPARED = 100  # largest number of values that are compared with each other, in quadratic time
MAX_MEASURED = 5  # largest number of distinct texts with a unit, such as "10 mg", that are categories
IDENTIFIER = re.compile(r"(.*[ _.-])?(id|index|uuid|guid|rowid|rownames?)", re.IGNORECASE)
WITH_UNIT = re.compile(r"([$€£¥]?)\s*[+-]?[\d.,]*\d\s*([%$€£¥]?|[a-zA-Zµ°][^\d]*)")
CODE = re.compile(r"[\d\W_]*\d[\d\W_]*")  # digits and punctuation
LEADING_ZERO = r"0\d{2,}"  # but not two digits, which may be months or hours
FORMAT = '"%d.%m.%Y"'


def text_codes(source: CsvFile, frame: pd.DataFrame, name: str) -> tuple[np.ndarray, list[str]]:
    """Return the index of each cell in the list of distinct texts, -1 where missing, and that list."""
    codes, texts = source.texts(frame, name)
    present = [i for i, text in enumerate(texts) if text not in MARKERS]
    index = np.full(len(texts) + 1, -1)
    index[present] = range(len(present))
    return index[codes], [texts[i] for i in present]


def recognize(source: CsvFile, frame: pd.DataFrame, name: str) -> Column | str | None:
    """Return the kind of a column; None for a number; or the reason why it should not be an input.

    Raises:
        UserError: it could be of several kinds, or is free text.
    """
    cells = frame[name]
    if name == f"{UNNAMED}0":
        return "it has no name, like the index of a table"
    if name.startswith(UNNAMED) and cells.notna().any():
        place = f"column {int(name.removeprefix(UNNAMED)) + 1}"
        raise UserError(f"{source.path} has no name for {place} in its first line: name it, or delete it.")
    if cells.dtype.kind in "iuf":
        if not (useless := _useless_number(cells, name)):
            _reject_leading_zeros(source, name)
        return useless
    codes, texts = text_codes(source, frame, name)
    if not texts:
        return "it has no values"
    if len(texts) == 1 and (codes >= 0).all():
        return "it has the same value in every row"
    if all(text.lower() in BOOLEANS for text in texts):
        return Column("boolean", ["false", "true"])
    numbers = np.array([any(to_number(text, decimal) is not None for decimal in ".,") for text in texts])
    present = codes[codes >= 0]
    if 2 * numbers.sum() >= len(texts) or 2 * numbers[present].sum() >= len(present):
        return None
    if form := date_format(texts, f"{source.path}, column {name!r},", name):
        return Column("date", format=form)
    _reject_odd_numbers(source, name, texts)
    return _category(source, name, codes, texts)


def declared(source: CsvFile, frame: pd.DataFrame, name: str, kind: Any) -> Column | None:
    """Return a column of the kind given in data.kinds, None for a number.

    Raises:
        UserError: there is no such kind, or the cells do not fit.
    """
    if kind == "number":
        return None
    _, texts = text_codes(source, frame, name)
    if not texts:
        raise UserError(
            f"{source.path} has no values in column {name!r}: exclude it with {as_option('data.drop', name)}."
        )
    if kind == "category":
        return Column("category", _sorted(texts))
    if kind == "boolean":
        column = Column("boolean", ["false", "true"])
        if invalid := [text for text in texts if column.key(text) not in (0, 1)]:
            raise UserError(
                f"{source.path} has {cut(invalid[0])!r} in column {name!r}: data.kinds says boolean, which needs true "
                "or false, or 1 or 0. Two other values can be a category."
            )
        return column
    if isinstance(kind, str) and "%" in kind:
        return Column("date", format=kind)
    if kind == "date":
        if form := date_format(texts, f"{source.path}, column {name!r},", name):
            return Column("date", format=form)
        raise UserError(
            f"{source.path} has no known format of dates in column {name!r}, e.g. {cut(texts[0])!r}: give it, as in "
            f"{as_kind(name, FORMAT)}."
        )
    raise UserError(
        f"data.kinds={{{name}: {kind}}} is unknown: choose {', '.join(KINDS)}, or a format of dates such as %d.%m.%Y."
    )


def _sorted(texts: list[str]) -> list[str]:
    if all(to_number(text) is not None for text in texts):
        return list({to_number(text): text for text in sorted(texts, key=lambda text: to_number(text) or 0.0)}.values())
    return sorted(texts)


def _useless_number(cells: pd.Series, name: str) -> str | None:
    values = cells.to_numpy()
    if cells.dtype.kind == "f" and np.isnan(values).all():
        return "it has no values"
    if len(values) > 1 and (values == values[0]).all():
        return "it has the same value in every row"
    if cells.dtype.kind == "f" or len(values) < MIN_ROWS:
        return None
    if values[0] in (0, 1) and (np.diff(values) == 1).all():
        return "it counts the rows"
    if IDENTIFIER.fullmatch(name) and cells.is_unique:
        return "it identifies the rows, because its values are all different"
    return None


def _reject_leading_zeros(source: CsvFile, name: str) -> None:
    texts = source.sample[name].dropna().astype(str).str.strip()
    codes = texts[texts.str.fullmatch(LEADING_ZERO)]
    if len(codes):
        raise UserError(
            f"{source.path} has numbers with leading zeros in column {name!r}, e.g. {cut(codes.iloc[0])!r}: if these "
            f"are codes, make each a category with {as_kind(name, 'category')}, else use {as_kind(name, 'number')}."
        )


def _reject_odd_numbers(source: CsvFile, name: str, texts: list[str]) -> None:
    matches = [WITH_UNIT.fullmatch(text) for text in texts]
    units = {match[1] or match[2] for match in matches if match}
    found = ""
    if all(matches) and len(units) == 1 and units != {""} and (len(texts) > MAX_MEASURED or units <= set("%$€£¥")):
        found = f"numbers with {units.pop()!r}"
    elif len(texts) > MAX_MEASURED and all(CODE.fullmatch(text) for text in texts):
        found = "codes or ranges of digits"
    if found:
        raise UserError(
            f"{source.path} has {found} in column {name!r}, e.g. {cut(texts[0])!r}: write them as numbers, "
            f"make each text a category with {as_kind(name, 'category')}, or exclude the column with "
            f"{as_option('data.drop', name)}."
        )


def _category(source: CsvFile, name: str, codes: np.ndarray, texts: list[str]) -> Column | str:
    count = (codes >= 0).sum()
    words = np.mean([len(text.split()) for text in texts[:10_000]])
    if words > MAX_WORDS and len(texts) > MIN_ROWS:
        raise UserError(
            f"{source.path} has free text in column {name!r}, e.g. {cut(texts[0])!r}: exclude it with "
            f"{as_option('data.drop', name)}, or make each text a category with {as_kind(name, 'category')}."
        )
    if count >= MIN_ROWS and len(texts) > UNIQUE * count:
        return f"it identifies the rows, with {len(texts)} different texts in {count} cells"
    if len(texts) > MANY and count < ROWS_PER_VALUE * len(texts):
        log.warning(
            f"column {name!r} has {len(texts)} values in {count} rows: if it identifies persons or objects, exclude "
            f"it with {as_option('data.drop', name)}, or keep the rows of each together with data.group"
        )
    folded = [text.casefold() for text in texts]
    if len(texts) <= MAX_COMPARED and (alike := [text for text in texts if folded.count(text.casefold()) > 1]):
        log.warning(f"{source.path} has {' and '.join(map(cut, alike))} in {name}: they are different categories")
    return Column("category", _sorted(texts))
