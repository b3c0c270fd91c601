"""Reads other people's CSVs, or says in a sentence which file, column and line cannot be read."""

import csv
import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.files import find

log = logging.getLogger("kindling")
SAMPLE = 65_536  # bytes that are looked at before pandas reads the file


def read_csv(path: str) -> pd.DataFrame:
    """A table with a header; commas, semicolons or tabs between, decimal points or commas, UTF-8 or Latin-1.

    Raises:
        UserError: the file cannot be read, is empty, is no text, has no rows, no or double names in its first line, or
            a line with more fields than that.
    """
    file = find(path)
    try:
        with file.open("rb") as opened:
            sample = opened.read(SAMPLE)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if not sample.strip():
        raise UserError(f"{path} is empty: a CSV with a header line and rows is wanted.")
    if b"\0" in sample:
        raise UserError(f"{path} is no text but binary (or UTF-16): save the table as CSV in UTF-8.")
    try:
        return _parsed(path, file, sample, "utf-8-sig")
    except UnicodeDecodeError:
        log.info(f"{path} is not UTF-8, so it is read as Latin-1")
        return _parsed(path, file, sample, "latin-1")


def line_of(path: str, row: int) -> int:
    """The line (from 1, the header's) of a row (from 0) of what `read_csv` returns, as an editor shows it."""
    with find(path).open(encoding="latin-1", newline="") as opened:  # any bytes; separators and quotes are ASCII
        lines = csv.reader(opened)
        numbers = (lines.line_num for fields in lines if fields)
        return next(number for i, number in enumerate(numbers) if i == row + 1)


def numbers(path: str, frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64, missing cells as NaN.

    Raises:
        UserError: a cell is text or infinite, or no cell has a value.
    """
    values = pd.to_numeric(frame[column], errors="coerce")
    text = np.flatnonzero(values.isna() & frame[column].notna())
    if len(text):
        cell, line = frame[column].iloc[text[0]], line_of(path, text[0])
        raise UserError(
            f"{path} has text in column {column!r}, line {line}: {cell!r}. A number is wanted: mend it; "
            f"an input may be left out with data.drop=[{column}]."
        )
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        line = line_of(path, infinite[0])
        raise UserError(
            f"{path} has an infinite value in column {column!r}, line {line}: mend it, or leave the cell empty."
        )
    if values.isna().all():
        raise UserError(f"{path} has no value in column {column!r}: leave it out with data.drop=[{column}].")
    return values.to_numpy("float64")


def _parsed(path: str, file: Path, sample: bytes, encoding: str) -> pd.DataFrame:
    lines = [line for line in sample.decode(encoding, "ignore").splitlines() if line.strip()]
    separator = max(",;\t", key=lambda mark: len(_fields(lines[0], mark)))
    names = _fields(lines[0], separator)
    _check_names(path, names)
    cells = [cell for line in lines[1:20] for cell in _fields(line, separator)]
    decimal = "," if separator != "," and any(_is_decimal_comma(cell) for cell in cells) else "."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # all rows longer than the header
            frame = pd.read_csv(
                file, sep=separator, decimal=decimal, encoding=encoding, index_col=False, low_memory=False
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(_odd_line(path, file, separator, len(names)) or f"{path} is no CSV: {error}") from error
    if not len(frame):
        raise UserError(f"{path} has a header and no rows.")
    return frame


def _check_names(path: str, names: list[str]) -> None:
    if all(_is_number(name) for name in names):
        raise UserError(f"{path} begins with numbers ({', '.join(names[:4])}): its first line must name the columns.")
    for i, name in enumerate(names):
        if not name.strip():
            raise UserError(
                f"{path} has no name for column {i + 1} in its first line: name it, or delete it if it counts the rows."
            )
        if name in names[:i]:
            raise UserError(f"{path} has two columns {name!r}: give every column a name of its own.")


def _odd_line(path: str, file: Path, separator: str, fields: int) -> str | None:
    with file.open(encoding="latin-1", newline="") as opened:
        lines = csv.reader(opened, delimiter=separator)
        for row in lines:
            if len(row) > fields:
                return f"{path} has {len(row)} fields in line {lines.line_num}, {fields} in its first: mend that line."
    return None


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_decimal_comma(cell: str) -> bool:
    return cell.count(",") == 1 and not _is_number(cell) and _is_number(cell.replace(",", "."))
