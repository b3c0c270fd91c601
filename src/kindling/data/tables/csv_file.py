"""Read CSV files of various formats, with errors that name the file, column and line."""

import csv
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.cells import MARKERS, cut, is_decimal_comma, texts_of, to_number, to_numbers
from kindling.data.examples import LARGEST
from kindling.data.tables.columns import as_kind, as_option, parses_as
from kindling.data.tables.csv_header import Header, check_header, open_text, read_header

log = logging.getLogger("kindling")
SAMPLE = 1_000  # rows from which the format of the numbers is detected


@dataclass
class CsvFile:
    """A table with a header, with decimal points or commas.

    Args:
        path: the path as given, for messages.
        header: the header and the format of the file.
        missing: texts or numbers that count as empty cells.
        decimal: the decimal separator.
        kept: the numbers of the rows (from 0) that the table has; None: all.
    """

    path: str
    header: Header
    missing: tuple[Any, ...] = ()
    decimal: str = "."
    kept: np.ndarray | None = None

    def read(self, columns: list[str], labels: list[str]) -> pd.DataFrame:
        """Read the table.

        Args:
            columns: the columns to check for decimal commas.
            labels: the columns to read as text; any other becomes numeric if all its cells are numbers.

        Raises:
            UserError: a line has too many or too few fields, or there are no rows.
        """
        check_header(self.path, self.header.names, self.sample)
        self._detect_decimal_commas(self.sample[columns])
        frame = self._parse(labels)
        if self._detect_decimal_commas(frame[columns]):
            frame = self._parse(labels)
        if not len(frame):
            raise UserError(f"{self.path} has a header but no rows.")
        if frame.iloc[:, -1].isna().any():  # pandas pads a line that is too short
            self._reject_uneven_lines()
        return frame

    @cached_property
    def sample(self) -> pd.DataFrame:
        """The first rows, as text."""
        return self._parse(self.header.names, nrows=SAMPLE)

    def place(self, row: int) -> str:
        """Return the line in the file, counted from 1, of a row of the table, counted from 0."""
        row = row if self.kept is None else int(self.kept[row])
        return f"line {next(line for i, (line, _) in enumerate(self._records()) if i == row + 1)}"

    def texts(self, frame: pd.DataFrame, column: str) -> tuple[np.ndarray, list[str]]:
        """Return the index of each cell in the list of distinct texts, -1 if it has no value, and that list."""
        codes, texts = texts_of(frame[column])
        absent = np.array([*(self.is_missing(text) for text in texts), True])
        return np.where(absent[codes], -1, codes), texts

    def numbers(
        self, frame: pd.DataFrame, column: str, markers: frozenset[str] = MARKERS, may_be_empty: bool = False
    ) -> np.ndarray:
        """Return a column as float64, with NaN for cells that are empty or in `missing` or `markers`.

        Args:
            frame: the table.
            column: the name of the column.
            markers: texts that mark a missing value.
            may_be_empty: accept a column without any value, in a file that is not for training.

        Raises:
            UserError: a cell is text or infinite, or no cell has a value and the column may not be empty.
        """
        values, invalid = to_numbers(frame[column], self.decimal, lambda text: text in markers or self.is_missing(text))
        if invalid.any():
            self._reject_text(frame[column], invalid, may_be_empty)
        if self.missing:
            named = [to_number(str(value)) for value in self.missing]
            values = np.where(np.isin(values, [number for number in named if number is not None]), np.nan, values)
        large = np.abs(values) > LARGEST
        if large.any():
            row = int(large.argmax())
            what = "an infinite value" if np.isinf(values[row]) else f"{values[row]:g}, which is too large,"
            place = f"in column {column!r}, {self.place(row)}"
            raise UserError(f"{self.path} has {what} {place}: correct it, or leave the cell empty.")
        if np.isnan(values).all() and not may_be_empty:
            hint = f"exclude it with {as_option('data.drop', column)}"
            raise UserError(f"{self.path} has no values in column {column!r}: {hint}.")
        return values

    def is_missing(self, text: str) -> bool:
        """Return whether a cell counts as empty according to data.missing."""
        return any(text == v if isinstance(v, str) else parses_as(text, v) for v in self.missing)

    def _reject_text(self, cells: pd.Series, invalid: np.ndarray, may_be_empty: bool) -> NoReturn:
        name, row = str(cells.name), int(invalid.argmax())
        text = str(cells.iloc[row]).strip()
        commas = ", in a file with decimal commas" if to_number(text) is not None else ""
        where = f"{self.path} has text in column {name!r}, {self.place(row)}: {cut(text)!r}{commas}"
        if may_be_empty:
            raise UserError(f"{where}. A number is needed: correct it, or leave the cell empty.")
        is_marker = len(text) <= 20 and (2 * invalid.sum() <= len(invalid) or cells[invalid].nunique() == 1)
        as_missing = f"count it as missing with {as_option('data.missing', text)}, " if is_marker else ""
        raise UserError(
            f"{where}. A number is needed: correct it, {as_missing}make every value a category with "
            f"{as_kind(name, 'category')}, or exclude the column with {as_option('data.drop', name)}."
        )

    def _parse(self, labels: list[str], nrows: int | None = None) -> pd.DataFrame:
        header = self.header
        missing = {name: [""] if name in labels else ["", *MARKERS] for name in header.names}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # raised if all rows are longer than the header
                frame = pd.read_csv(
                    header.file, sep=header.separator, decimal=self.decimal, encoding=header.encoding,
                    skiprows=header.skip, header=0, names=header.names, nrows=nrows,
                    index_col=False, low_memory=False, skipinitialspace=True,
                    dtype=dict.fromkeys(labels, str),
                    keep_default_na=False, na_values=missing,
                )  # fmt: skip
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            self._reject_uneven_lines()
            raise UserError(f"{self.path} is not a valid CSV: {error}") from error
        # Store each text once. With dtype="category" above pandas would read 007 as 7.
        texts = [name for name in header.names if frame[name].dtype.kind not in "iufb"]
        return frame.assign(**{name: frame[name].astype("category") for name in texts}) if nrows is None else frame

    def _detect_decimal_commas(self, frame: pd.DataFrame) -> bool:
        for name in frame.columns if self.decimal == "." else ():
            texts = texts_of(frame[name])[1] if frame[name].dtype.kind not in "iufb" else []
            numbers = sum(to_number(text, ",") is not None for text in texts)
            if 2 * numbers >= len(texts) and any(is_decimal_comma(text, self.header.separator) for text in texts):
                self.decimal = ","
                log.info(f"{self.path} has decimal commas, so a point in a number is a thousands separator")
                return True
        return False

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the last line of each record and its fields, starting with the header."""
        header = self.header
        with open_text(header.file, header.encoding) as opened:
            lines = csv.reader(islice(opened, header.skip, None), delimiter=header.separator, skipinitialspace=True)
            for fields in lines:
                if len(fields) > 1 or (fields and fields[0].strip()):
                    yield header.skip + lines.line_num, fields

    def _reject_uneven_lines(self) -> None:
        expected = len(self.header.names)
        for line, fields in self._records():
            if len(fields) != expected:
                count = f"{len(fields)} field{'s' * (len(fields) != 1)} in line {line}, {expected} in the first"
                advice = "delete this comment" if fields[0].startswith("#") else "correct that line"
                raise UserError(f"{self.path} has {count}: {advice}.")


def open_csv(path: str, missing: list[Any] | tuple[Any, ...] = (), option: str = "data.path") -> CsvFile:
    """Find a CSV, which `option` names, and read its header.

    Raises:
        UserError: the file cannot be read, is empty or binary, or its header is missing or invalid.
    """
    return CsvFile(path, read_header(path, option), tuple(missing))
