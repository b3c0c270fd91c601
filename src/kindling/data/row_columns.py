"""Columns of a table that are not inputs but say something about its rows: a group, a time or a weight."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.csv_file import CsvFile
from kindling.data.examples import Column
from kindling.data.inputs import Inputs
from kindling.data.kinds import declared, recognize, text_codes


def read_groups(source: CsvFile, frame: pd.DataFrame, name: str) -> torch.Tensor:
    """Return a number (N,) for each row, equal for equal values in the column data.group."""
    return torch.from_numpy(text_codes(source, frame, name)[0])


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
    _reject_missing(source, "time", name, times.numpy())
    return times


def read_weights(source: CsvFile, frame: pd.DataFrame, name: str) -> torch.Tensor:
    """Return the weights in the column data.weight (N,), float64.

    Raises:
        UserError: a cell is not a number of at least 0.
    """
    weights = source.numbers(frame, name)
    _reject_missing(source, "weight", name, weights)
    if (weights < 0).any():
        row = int((weights < 0).argmax())
        raise UserError(
            f"{source.path} has {weights[row]:g} in the column {name!r} of data.weight, {source.place(row)}: a weight "
            "must be at least 0."
        )
    return torch.from_numpy(weights)


def _reject_missing(source: CsvFile, option: str, name: str, values: np.ndarray) -> None:
    missing = np.isnan(values)
    if missing.any():
        place = source.place(int(missing.argmax()))
        raise UserError(f"{source.path} has no value in the column {name!r} of data.{option}, {place}: fill it in.")
