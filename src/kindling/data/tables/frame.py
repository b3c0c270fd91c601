"""A DataFrame in memory, which is read by the same code as a file."""

from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.extensions import ExtensionDtype

from kindling import UserError
from kindling.data.tables.csv_file import CsvFile
from kindling.data.tables.csv_header import Header


class Frame(CsvFile):
    """A DataFrame in place of a file.

    Args:
        table: the DataFrame.
        missing: texts or numbers that count as empty cells.
        formats: formats of the columns of dates, as which datetimes are written.

    Raises:
        UserError: two columns have the same name.
    """

    def __init__(self, table: pd.DataFrame, missing: list[Any] | tuple[Any, ...], formats: dict[str, str]):
        names = [str(name) for name in table.columns]
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise UserError(f"the DataFrame has two columns {twice[0]!r}: give each column a unique name.")
        super().__init__("the DataFrame", Header(Path(), "utf-8", ",", skip=0, names=names), tuple(missing))
        self.table, self.formats = table.set_axis(names, axis=1), formats

    def read(self, columns: list[str], labels: list[str]) -> pd.DataFrame:
        """Return the table, with datetimes as texts."""
        return self.table.assign(**{name: self._plain(self.table[name], name) for name in columns})

    def place(self, row: int) -> str:
        """Return where a row is, counted from 0 like by `iloc`."""
        return f"row {row}"

    def _plain(self, cells: pd.Series, name: str) -> pd.Series:
        if cells.dtype.kind == "M":
            form = self.formats.get(name, "ISO8601")
            return cells.dt.strftime("%Y-%m-%dT%H:%M:%S.%f" if form == "ISO8601" else form)
        if isinstance(cells.dtype, ExtensionDtype) and cells.dtype.kind in "iufb":  # which may have pd.NA
            return cells.astype("float64")
        return cells
