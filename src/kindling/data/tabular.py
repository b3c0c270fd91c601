"""Tables from CSV files, with numeric columns and one or several targets."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.base import Data
from kindling.data.columns import as_list, as_strings, listed, parses_as, resolve
from kindling.data.csv_file import CsvFile, open_csv
from kindling.data.examples import Examples
from kindling.data.labels import Labels, guess, may_be_classes, refuse_gap
from kindling.tasks.tasks import TASKS

log = logging.getLogger("kindling")


class Table(Data):
    """A CSV with a header.

    Args:
        path: the file; a relative path is resolved against the working folder, or else the project.
        target: the column to predict, several columns for multilabel or a regression with several outputs, or None
            for the last column.
        task: "binary", "multiclass", "multilabel", "regression", or "auto" to infer it from the target and log it.
        test_path: a second CSV with the same columns, which only has test samples.
        class_names: names for the sorted values of the target; None: the values as spelled in the file.
        drop: columns that are not inputs.
        zero_is_missing: columns in which 0 marks a missing value.
        missing: texts and numbers that mark a missing value in any column, like an empty cell. In inputs NA, NaN, null,
            None and n/a always do; in a target with classes they are classes.
        data: arguments of Data.

    Raises:
        UserError: from `load`, with file, column and line.
    """

    def __init__(
        self,
        path: str,
        target: str | list[str] | None = None,
        task: str = "auto",
        test_path: str | None = None,
        class_names: list[str] | None = None,
        drop: list[str] | tuple[str, ...] = (),
        zero_is_missing: list[str] | tuple[str, ...] = (),
        missing: list[Any] | tuple[Any, ...] = (),
        **data: Any,
    ):
        super().__init__(**data)
        if task not in ("auto", *TASKS):
            raise UserError(f"data.task={task} is unknown: choose auto, {', '.join(TASKS)}.")
        self.path, self.target, self.task, self.test_path = path, target, task, test_path
        self.class_names, self.drop, self.zero_is_missing = class_names, drop, zero_is_missing
        self.missing = as_list(missing)

    def load(self) -> Examples:
        source = open_csv(self.path, self.missing)
        header = source.header.names
        dropped = resolve(as_list(self.drop), "data.drop", header, path=self.path)
        targets = self._targets(header, dropped)
        zeros = resolve(as_list(self.zero_is_missing), "data.zero_is_missing", header, path=self.path)
        for option, names in (("data.drop", dropped), ("data.zero_is_missing", zeros)):
            if both := [name for name in names if name in targets]:
                raise UserError(f"{option} names {both[0]!r}, which is the target: remove it from one of them.")
        columns = [name for name in header if name not in targets and name not in dropped]
        if not columns:
            raise UserError(f"{self.path} has no column besides {', '.join(targets)}: there are no inputs.")
        one, classes = len(targets) == 1, self.task in ("binary", "multiclass")
        if classes and not one:
            raise UserError(
                f"data.task={self.task} needs one target, but data.target has {len(targets)}: name one of them."
            )
        auto = self.task == "auto" and one and may_be_classes(source, targets[0])
        spelled = targets if classes or auto else []
        frame = source.read([*columns, *targets], spelled)
        task = guess(source, frame, targets) if self.task == "auto" else self.task
        labels = Labels(source, frame, targets[0], task=task) if task in ("binary", "multiclass") else None
        names = [] if task == "regression" else self._names(labels.names if labels else targets, targets)
        x, y = read_inputs(source, frame, columns, zeros=zeros), _y(source, frame, targets, labels=labels, task=task)
        if not self.test_path:
            return Examples(x, y, task, class_names=names, columns=columns)
        other = open_csv(self.test_path, self.missing)
        for name in [*targets, *columns]:
            resolve(name, "data.test_path", other.header.names, path=self.test_path)
        if other.header.separator == source.header.separator:
            other.decimal = source.decimal  # which may not be visible in the test file
        rows = other.read([*columns, *targets], spelled)
        test = read_inputs(other, rows, columns, zeros=zeros), _y(other, rows, targets, labels=labels, task=task)
        return Examples(x, y, task, class_names=names, columns=columns, test=test)

    def _targets(self, header: list[str], dropped: list[str]) -> list[str]:
        if self.target is not None:
            targets = resolve(self.target, "data.target", header, path=self.path)
            if not targets:
                raise UserError("data.target=[] names no column: name one, or remove it to use the last one.")
            return targets
        if null := [name for name in header if parses_as(name, None)]:
            raise UserError(
                f"{self.path} has a column {null[0]!r}, but data.target=null means the last column: name the target; "
                f"for this column write 'data.target=\"{null[0]}\"'."
            )
        kept = [name for name in header if name not in dropped]
        if not kept:
            raise UserError(f"data.drop leaves no column of {self.path}: drop fewer.")
        log.info(f"data.target={kept[-1]}, the last column of {self.path}")
        return kept[-1:]

    def _names(self, found: list[str], targets: list[str]) -> list[str]:
        if not self.class_names:
            return found
        names = as_strings(as_list(self.class_names), "data.class_names")
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise UserError(f"data.class_names has {twice[0]!r} twice: give each class a unique name.")
        if len(names) != len(found):
            raise UserError(
                f"data.class_names has {len(names)} names, but {', '.join(targets)} has {len(found)} values: "
                f"{listed(found)}."
            )
        return names


def read_inputs(
    source: CsvFile, frame: pd.DataFrame, columns: list[str], zeros: list[str], may_be_empty: bool = False
) -> torch.Tensor:
    """Return the raw inputs (N, columns), float64, with NaN for missing values.

    Args:
        source: the file, for its format and for messages.
        frame: its table.
        columns: names of the inputs.
        zeros: those in which 0 marks a missing value.
        may_be_empty: accept columns without any value.

    Raises:
        UserError: a cell is not a number.
    """
    x = np.empty((len(frame), len(columns)))  # row-major, unlike the columns of pandas
    for i, name in enumerate(columns):
        x[:, i] = source.numbers(frame, name, may_be_empty=may_be_empty)
    gaps = np.isnan(x).sum(0)
    if gaps.any():
        where = listed(name for name, gap in zip(columns, gaps, strict=True) if gap)
        log.info(f"{source.path} has {gaps.sum()} missing values in {where}: each becomes the mean of its column")
    for i, name in enumerate(columns):
        if name in zeros:
            x[x[:, i] == 0, i] = np.nan
    return torch.from_numpy(x)


def _y(source: CsvFile, frame: pd.DataFrame, targets: list[str], labels: Labels | None, task: str) -> torch.Tensor:
    if labels:
        codes = torch.from_numpy(labels.codes(source, frame, targets[0]))
        return codes.long() if task == "multiclass" else codes.float()[:, None]
    y = np.empty((len(frame), len(targets)))
    for i, target in enumerate(targets):
        refuse_gap(source, target, frame[target].isna().to_numpy())
        y[:, i] = source.numbers(frame, target, frozenset())
        refuse_gap(source, target, np.isnan(y[:, i]))
    invalid = np.argwhere((y != 0) & (y != 1))
    if task == "multilabel" and len(invalid):
        row, column = invalid[0]
        place = f"the label {targets[column]!r}, line {source.line_of(row)}"
        raise UserError(f"{source.path} has {y[row, column]:g} in {place}: task=multilabel needs 0 or 1.")
    return torch.from_numpy(y).float() if task == "multilabel" else torch.from_numpy(y)
