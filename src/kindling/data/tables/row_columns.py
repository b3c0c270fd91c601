"""Columns of a table that are not inputs but say something about its rows: a group, a time or a weight."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.cells import cut, to_numbers
from kindling.data.examples import Column, Examples
from kindling.data.tables.columns import as_list, resolve
from kindling.data.tables.csv_file import CsvFile
from kindling.data.tables.inputs import Inputs
from kindling.data.tables.kinds import declared, recognize, text_codes


def row_columns(given: dict[str, Any], header: list[str], path: str) -> dict[str, str]:
    """Return option -> column for those of data.group, data.time and data.weight that are given.

    Raises:
        UserError: there is no such column, or an option names several.
    """
    found: dict[str, str] = {}
    for option, value in given.items():
        names = resolve(as_list(value), f"data.{option}", header, path=path)
        if len(names) > 1:
            raise UserError(f"data.{option} names {len(names)} columns: name one.")
        if names:
            found[option] = names[0]
    return found


def add_row_columns(
    examples: Examples, source: CsvFile, frame: pd.DataFrame, rows: dict[str, str], kinds: dict[str, Any]
) -> None:
    """Set the groups, times and weights of the samples.

    Args:
        examples: the samples.
        source: the file.
        frame: its table.
        rows: from `row_columns`.
        kinds: of the columns, as far as they are given.

    Raises:
        UserError: a cell is invalid.
    """
    if "group" in rows:
        examples.groups = torch.from_numpy(text_codes(source, frame, rows["group"])[0])
    if "time" in rows:
        examples.times = read_times(source, frame, rows["time"], kinds.get(rows["time"]))
    if "weight" in rows:
        examples.weights = read_weights(source, frame, rows["weight"])


def read_times(source: CsvFile, frame: pd.DataFrame, name: str, kind: Any) -> torch.Tensor:
    """Return the numbers or days in the column data.time (N,).

    Raises:
        UserError: it has another kind, or a cell has no value.
    """
    column = declared(source, frame, name, kind) if kind not in (None, "ignored") else recognize(source, frame, name)
    kinds = {name: column} if isinstance(column, Column) else {}
    if kinds and kinds[name].kind != "date":
        raise UserError(
            f"data.time={name} is not a column of numbers or dates: name one, or set its format in data.kinds."
        )
    times = Inputs([name], kinds, [], "").read(source, frame)[:, 0]
    if times.isnan().any():
        place = source.place(int(times.isnan().int().argmax()))
        raise UserError(f"{source.path} has no value in the column {name!r} of data.time, {place}: fill it in.")
    return times


def read_weights(source: CsvFile, frame: pd.DataFrame, name: str) -> torch.Tensor:
    """Return the weights in the column data.weight (N,), float64.

    Raises:
        UserError: a cell is not a number of at least 0.
    """
    weights, _ = to_numbers(frame[name], source.decimal, lambda text: False)
    invalid = ~(np.isfinite(weights) & (weights >= 0))
    if invalid.any():
        row = int(invalid.argmax())
        cell = frame[name].iloc[row]
        found = "no value" if pd.isna(cell) else repr(cut(str(cell)))
        raise UserError(
            f"{source.path} has {found} in the column {name!r} of data.weight, {source.place(row)}: a weight must be "
            "a number of at least 0."
        )
    return torch.tensor(weights)
