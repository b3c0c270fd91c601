"""Read the header of a CSV, and detect its encoding, its separator, and the lines before the header."""

import csv
import gzip
import logging
import re
import zlib
from codecs import getincrementaldecoder
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import pandas as pd

from kindling import UserError
from kindling.data.cells import to_number
from kindling.data.tables.parquet import to_csv
from kindling.files import find, reject_bomb

log = logging.getLogger("kindling")
BLOCK = 1 << 20  # number of bytes decoded at a time
UNNAMED = "Unnamed: "  # and the number of the column, from 0, as in pandas
MAX_LINES = 100  # lines that are searched for the header


@dataclass
class Header:
    """The header and the format of a CSV file.

    Args:
        file: path of the file.
        encoding: UTF-8, Windows-1252 or Latin-1.
        separator: a comma, semicolon, tab or bar.
        skip: number of lines before the header.
        names: names of the columns, without surrounding white space.
    """

    file: Path
    encoding: str
    separator: str
    skip: int
    names: list[str]


def read_header(path: str, option: str) -> Header:
    """Find a CSV and read the names of its columns.

    Raises:
        UserError: the file cannot be read, is empty or binary, or its header is missing or invalid.
    """
    file = find(path, option)
    if file.suffix == ".parquet":
        file = to_csv(file, path)
    encoding = _encoding(path, file)
    csv.field_size_limit(2**31 - 1)  # like pandas, which has no limit
    with open_text(file, encoding) as opened:
        lines = list(islice(opened, MAX_LINES))
    declared = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE) if lines else None  # written by Excel
    skip = 1 if declared else 0
    while skip < len(lines) and (not lines[skip].strip() or _is_comment(lines[skip:])):
        skip += 1
    if skip == len(lines):
        raise UserError(f"{path} is empty: expected a CSV with a header line and rows.")
    if any(line.startswith("#") for line in lines[:skip]):
        log.info(f"{path} begins with comments, so line {skip + 1} is used as its header")
    separator = declared[1] if declared else _separator(lines[skip:])
    names = [name.strip() or f"{UNNAMED}{i}" for i, name in enumerate(_fields(lines[skip:], separator))]
    _check_names(path, names)
    return Header(file, encoding, separator, skip=skip, names=names)


def open_text(file: Path, encoding: str) -> TextIO:
    """Open a text file, which is decompressed if its name ends in .gz."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def check_header(path: str, names: list[str], rows: pd.DataFrame) -> None:
    """Check that the first line is not a row of the table.

    It is treated as data if it contains a number and one of its non-integer fields also appears below. Names may be
    whole numbers, such as years or pixels, and these may occur in the rows.

    Raises:
        UserError: the first line is a row.
    """
    numbers = [name for name in names if to_number(name) is not None]
    repeated = [name for name in names if not name.isdecimal() and (rows[name].str.strip() == name).any()]
    if numbers and repeated:
        raise UserError(
            f"{path} begins with a row ({', '.join(names[:5])}), because {repeated[0]!r} also occurs below: its first "
            "line must name the columns."
        )
    if numbers:
        log.info(f"{path} has numbers as column names: {', '.join(numbers[:5])}")


def _encoding(path: str, file: Path) -> str:
    decoder = getincrementaldecoder("utf-8-sig")()
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as opened:
            while block := opened.read(BLOCK):
                if file.suffix == ".gz":
                    reject_bomb(path, file.stat().st_size, opened.tell())
                if b"\0" in block:
                    raise UserError(f"{path} is a binary file (or UTF-16): save the table as CSV in UTF-8.")
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except (OSError, EOFError, zlib.error) as error:
        problem = error.strerror if isinstance(error, OSError) else None
        raise UserError(f"{path} cannot be read: {problem or error}.") from error
    except UnicodeDecodeError:
        encoding = "cp1252" if _decodes(file, "cp1252") else "latin-1"  # the Windows encoding has the euro sign
        log.info(f"{path} is not UTF-8, so it is read as Latin-1{' (Windows-1252)' * (encoding == 'cp1252')}")
        return encoding
    return "utf-8-sig"


def _decodes(file: Path, encoding: str) -> bool:
    try:
        with open_text(file, encoding) as opened:
            while opened.read(BLOCK):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _is_comment(lines: list[str]) -> bool:
    """Return whether the first line is a comment and not a header such as `#,name,price`."""
    if not lines[0].startswith("#"):
        return False
    following, separator = next((line for line in lines[1:] if not line.startswith("#")), ""), _separator(lines)
    fields = len(_fields(lines, separator))
    return fields == 1 or fields != len(_fields([following], separator))


def _separator(lines: list[str]) -> str:
    return max(",;\t|", key=lambda mark: len(_fields(lines, mark)))


def _fields(lines: list[str], separator: str) -> list[str]:
    return next(csv.reader(lines, delimiter=separator, skipinitialspace=True), [])


def _check_names(path: str, names: list[str]) -> None:
    if all(to_number(name) is not None for name in names):
        raise UserError(f"{path} begins with numbers ({', '.join(names[:4])}): its first line must name the columns.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{path} has two columns {twice!r}: give each column a unique name.")
