"""Read the header of a CSV, and how the file is written: its encoding, its separator, and lines before the header."""

import csv
import logging
import re
from codecs import getincrementaldecoder
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from kindling import UserError
from kindling.data.csv_cells import to_number
from kindling.files import find

log = logging.getLogger("kindling")
BLOCK = 1 << 20  # bytes that are decoded at a time
BEFORE = 100  # lines among which the header must be


@dataclass
class Header:
    """UTF-8 or Latin-1; commas, semicolons, tabs or bars between fields.

    Args:
        skip: lines before the header.
        names: without white space around them.
    """

    file: Path
    encoding: str
    separator: str
    skip: int
    names: list[str]


def read_header(path: str) -> Header:
    """Find a CSV and read the names of its columns.

    Raises:
        UserError: the file cannot be read, is empty, is no text, or its first line names no columns, or one twice.
    """
    file = find(path)
    encoding = _encoding(path, file)
    csv.field_size_limit(2**31 - 1)  # pandas has no limit, either
    with file.open(encoding=encoding, newline="") as opened:
        lines = list(islice(opened, BEFORE))
    stated = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE) if lines else None  # Excel's
    skip = 1 if stated else 0
    while skip < len(lines) and (not lines[skip].strip() or _is_comment(lines[skip:])):
        skip += 1
    if skip == len(lines):
        raise UserError(f"{path} is empty: a CSV with a header line and rows is wanted.")
    if any(line.startswith("#") for line in lines[:skip]):
        log.info(f"{path} begins with comments, so line {skip + 1} is taken as its header")
    separator = stated[1] if stated else _separator(lines[skip:])
    names = [name.strip() for name in _fields(lines[skip:], separator)]
    _check_names(path, names)
    return Header(file, encoding, separator, skip=skip, names=names)


def refuse_no_header(path: str, names: list[str], rows: pd.DataFrame) -> None:
    """Refuse a first line that is a row: a number is among its fields, and a field that is none is seen again below.

    Names may be whole numbers, such as years or pixels, and these may be seen below.

    Raises:
        UserError: it is one.
    """
    numbers = [name for name in names if to_number(name) is not None]
    again = [name for name in names if not name.isdecimal() and (rows[name].str.strip() == name).any()]
    if numbers and again:
        raise UserError(
            f"{path} begins with a row ({', '.join(names[:5])}), as {again[0]!r} is also a value below: its first line "
            "must name the columns."
        )
    if numbers:
        log.info(f"{path} has numbers as names of columns: {', '.join(numbers[:5])}")


def _encoding(path: str, file: Path) -> str:
    decoder = getincrementaldecoder("utf-8-sig")()
    try:
        with file.open("rb") as opened:
            while block := opened.read(BLOCK):
                if b"\0" in block:
                    raise UserError(f"{path} is no text but binary (or UTF-16): save the table as CSV in UTF-8.")
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        encoding = "cp1252" if _decodes(file, "cp1252") else "latin-1"  # Windows' own, with the euro sign
        log.info(f"{path} is not UTF-8, so it is read as Latin-1{' (Windows-1252)' * (encoding == 'cp1252')}")
        return encoding
    return "utf-8-sig"


def _decodes(file: Path, encoding: str) -> bool:
    try:
        with file.open(encoding=encoding, newline="") as opened:
            while opened.read(BLOCK):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _is_comment(lines: list[str]) -> bool:
    """Whether the first line is one; with as many fields as the next line it is a header such as `#,name,price`."""
    if not lines[0].startswith("#"):
        return False
    below, separator = next((line for line in lines[1:] if not line.startswith("#")), ""), _separator(lines)
    fields = len(_fields(lines, separator))
    return fields == 1 or fields != len(_fields([below], separator))


def _separator(lines: list[str]) -> str:
    return max(",;\t|", key=lambda mark: len(_fields(lines, mark)))


def _fields(lines: list[str], separator: str) -> list[str]:
    return next(csv.reader(lines, delimiter=separator, skipinitialspace=True), [])


def _check_names(path: str, names: list[str]) -> None:
    if all(to_number(name) is not None for name in names):
        raise UserError(f"{path} begins with numbers ({', '.join(names[:4])}): its first line must name the columns.")
    for i, name in enumerate(names):
        if not name:
            raise UserError(
                f"{path} has no name for column {i + 1} in its first line: name it, or delete it if it counts the rows."
            )
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{path} has two columns {twice!r}: give every column a name of its own.")
