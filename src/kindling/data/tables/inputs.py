"""The inputs of a table: which columns they are, and their cells as numbers."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.cells import cut
from kindling.data.examples import Column
from kindling.data.tables.columns import as_kind, listed, resolve
from kindling.data.tables.csv_file import CsvFile
from kindling.data.tables.dates import readable, to_days
from kindling.data.tables.kinds import declared, recognize, text_codes

log = logging.getLogger("kindling")


class Inputs:
    """The input columns of a table, and how their cells become numbers.

    Args:
        columns: their names.
        kinds: those that are not numbers.
        zero_is_missing: columns of numbers in which 0 marks a missing value.
        fill: what a missing number becomes, for a message.
    """

    def __init__(self, columns: list[str], kinds: dict[str, Column], zero_is_missing: list[str], fill: str):
        self.columns, self.kinds, self.zero_is_missing, self.fill = columns, kinds, zero_is_missing, fill

    def read(self, source: CsvFile, frame: pd.DataFrame, may_be_empty: bool = False) -> torch.Tensor:
        """Return the raw inputs (N, columns), float64, with NaN for missing values and -1 for unknown categories.

        Args:
            source: the file, for its format and for messages.
            frame: its table.
            may_be_empty: accept columns without any value.

        Raises:
            UserError: a cell is not a number or date.
        """
        x = np.empty((len(frame), len(self.columns)))  # row-major, unlike the columns of pandas
        for i, name in enumerate(self.columns):
            column = self.kinds.get(name)
            if column is None:
                x[:, i] = source.numbers(frame, name, may_be_empty=may_be_empty)
            elif column.kind == "date":
                x[:, i] = _days(source, frame, name, column, may_be_empty)
            else:
                x[:, i] = _codes(source, frame, name, column)
        gaps = np.isnan(x).sum(0)
        missing = [name for name, gap in zip(self.columns, gaps, strict=True) if gap]
        if missing:
            by_zeros = {name in self.kinds and self.kinds[name].values != [] for name in missing}
            filled = f"the {self.fill} of the training samples" if False in by_zeros else "zeros"
            filled += " in numbers, and by zeros in categories" if len(by_zeros) > 1 else ""
            count = f"{gaps.sum():,} missing value{'s' * int(gaps.sum() > 1)}"
            log.info(f"{source.path} has {count} in {listed(missing)}: replaced by {filled}")
        for i, name in enumerate(self.columns):
            if name in self.zero_is_missing:
                x[x[:, i] == 0, i] = np.nan
        return torch.from_numpy(x)


def find_inputs(
    source: CsvFile, frame: pd.DataFrame, names: list[str], kinds: dict[str, Any]
) -> tuple[list[str], dict[str, Column]]:
    """Return the columns that are inputs, and the kinds of those that are not numbers; log what was found.

    Args:
        source: the training file.
        frame: its table.
        names: the columns that may be inputs.
        kinds: those with a kind given in data.kinds.

    Raises:
        UserError: a column has no clear kind, or none is an input.
    """
    found: dict[str, Column | None] = {}
    useless: dict[str, str] = {}
    for name in names:
        if name in kinds:
            found[name] = declared(source, frame, name, kinds[name])
        elif isinstance(column := recognize(source, frame, name), str):
            useless[name] = column
        else:
            found[name] = column
    if not found:  # a constant or a counter is better than nothing
        found = {name: None for name in useless if frame[name].dtype.kind in "iuf" and frame[name].notna().any()}
        useless = {name: reason for name, reason in useless.items() if name not in found}
    if not found:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in useless.items())
        raise UserError(
            f"{source.path} has no usable input columns ({reasons}): set the kind of one of them, e.g. with "
            f"{as_kind(names[0], 'category')}."
        )
    typed = {name: column for name, column in found.items() if column}
    _describe(source.path, list(found), typed, useless)
    return list(found), typed


def given_kinds(kinds: Any, header: list[str], path: str) -> dict[str, Any]:
    """Return data.kinds with the names of the header as keys.

    Raises:
        UserError: it is not a mapping, or names an unknown column.
    """
    if kinds is None:
        return {}
    if not isinstance(kinds, dict):
        raise UserError(f"data.kinds={kinds} is not a mapping: write e.g. 'data.kinds={{zip: category, id: ignored}}'.")
    names = resolve(list(kinds), "data.kinds", header, path=path)
    return dict(zip(names, kinds.values(), strict=True))


def _codes(source: CsvFile, frame: pd.DataFrame, name: str, column: Column) -> np.ndarray:
    codes, texts = text_codes(source, frame, name)
    index = {column.key(value): i for i, value in enumerate(column.values)}
    known = np.array([*(index.get(column.key(text), -1) for text in texts), np.nan])[codes]
    if (known == -1).any():
        unknown = [text for text in texts if column.key(text) not in index]
        cells = f"{(known == -1).sum()} cell" + "s" * int((known == -1).sum() > 1)
        reason = "that was rare or unseen in training" if column.pooled else "unseen in training, treated as missing"
        log.warning(f"{source.path} has {cells} in column {name!r} with a value {reason}: {listed(map(cut, unknown))}")
    return known


def _days(source: CsvFile, frame: pd.DataFrame, name: str, column: Column, may_be_empty: bool) -> np.ndarray:
    codes, texts = text_codes(source, frame, name)
    days = np.append(to_days(texts, column.format), np.nan)
    invalid = np.isnan(days)[codes] & (codes >= 0)
    if invalid.any():
        row = int(invalid.argmax())
        other = (
            "leave the cell empty" if may_be_empty else f"make each text a category with {as_kind(name, 'category')}"
        )
        raise UserError(
            f"{source.path} has {cut(texts[codes[row]])!r} in column {name!r}, {source.place(row)}, not a "
            f"date in the format {readable(column.format)}: correct it, or {other}."
        )
    return days[codes]


def _describe(path: str, names: list[str], kinds: dict[str, Column], useless: dict[str, str]) -> None:
    if kinds:
        groups: dict[str, list[str]] = {"number": [name for name in names if name not in kinds]}
        for name, column in kinds.items():
            several = "s" * (len(column.values) > 1)
            count = f" ({len(column.values)} value{several})" if column.kind == "category" else ""
            groups.setdefault(column.kind, []).append(name + count)
        found = "; ".join(f"{kind}: {listed(names)}" for kind, names in groups.items() if names)
        log.info(f"columns of {path}: {found}")
    for name, reason in useless.items():
        log.info(f"column {name!r} is not used: {reason} (to use it, add e.g. {as_kind(name, 'category')})")
