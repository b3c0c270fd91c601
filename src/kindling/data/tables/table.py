"""Tables from CSV or Parquet files, with one or several targets."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.data.tables.columns import as_list, parses_as, resolve
from kindling.data.tables.csv_file import CsvFile, open_csv
from kindling.data.tables.csv_header import UNNAMED
from kindling.data.tables.guess_task import guess, may_be_classes
from kindling.data.tables.inputs import Inputs, find_inputs, given_kinds
from kindling.data.tables.labels import class_names, find_labels, read_targets
from kindling.data.tables.row_columns import add_row_columns, row_columns
from kindling.tasks.tasks import TASKS

log = logging.getLogger("kindling")


@dataclass
class _Chosen:
    """The columns that the options of a table name, and those that may be inputs."""

    targets: list[str]
    columns: list[str]
    kinds: dict[str, Any]
    zeros: list[str]
    rows: dict[str, str]  # "group", "time" and "weight" -> column

    @property
    def used(self) -> list[str]:
        return list(dict.fromkeys([*self.columns, *self.targets, *self.rows.values()]))


class Table(Data):
    """A CSV with a header, or a Parquet file.

    Args:
        path: the file; a relative path is resolved against the working folder, or else the project.
        target: the column to predict, several columns for multilabel or a regression with several outputs, or None
            for the last column.
        task: "binary", "multiclass", "multilabel", "regression", or "auto" to infer it from the target and log it.
        test_path: a second CSV with the same columns, which only has test samples.
        class_names: names for the sorted values of the target; None: the values as spelled in the file.
        drop: columns that are not inputs.
        kinds: overrides the detected kinds of columns: "number", "category", "boolean", "date",
            a format of dates such as "%d.%m.%Y", or "ignored".
        group: a column; rows with the same value in it stay in the same part of the split. It is not an input.
        time: a column of numbers or dates; the latest rows form the test set, those before the validation set.
        weight: a column of weights of the rows in the losses of training and validation. It is not an input.
        drop_missing_target: leave out the rows without a target, instead of rejecting the file.
        zero_is_missing: columns of numbers in which 0 marks a missing value.
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
        kinds: dict[str, str] | None = None,
        group: str | None = None,
        time: str | None = None,
        weight: str | None = None,
        drop_missing_target: bool = False,
        zero_is_missing: list[str] | tuple[str, ...] = (),
        missing: list[Any] | tuple[Any, ...] = (),
        **data: Any,
    ):
        super().__init__(**data)
        if task not in ("auto", *TASKS):
            raise UserError(f"data.task={task} is unknown: choose auto, {', '.join(TASKS)}.")
        self.path, self.target, self.task, self.test_path = path, target, task, test_path
        self.class_names, self.drop, self.zero_is_missing = class_names, drop, zero_is_missing
        self.kinds, self.group, self.time, self.weight = kinds, group, time, weight
        self.missing, self.drop_missing_target = as_list(missing), drop_missing_target

    def load(self) -> Examples:
        source = open_csv(self.path, self.missing)
        chosen = self._choose(source.header.names)
        targets, texts = chosen.targets, self._classes(source, chosen.targets)
        labels = [
            *texts,
            *(name for option, name in chosen.rows.items() if option == "group"),
            *(name for name, kind in chosen.kinds.items() if kind != "number"),
        ]
        frame = source.read(chosen.used, list(dict.fromkeys(labels)))
        if self.drop_missing_target:
            frame = _without_gaps(source, frame, targets)
        task = guess(source, frame, targets) if self.task == "auto" else self.task
        classes = find_labels(source, frame, targets[0], task) if task in ("binary", "multiclass") else None
        y = read_targets(source, frame, targets, labels=classes, task=task)
        fill = "median" if self.missing_indicator else "mean"
        inputs = Inputs(*find_inputs(source, frame, chosen.columns, chosen.kinds), chosen.zeros, fill)
        found = classes.names if classes else targets
        names = [] if task == "regression" else class_names(self.class_names, found, targets)
        examples = Examples(
            inputs.read(source, frame), y, task, class_names=names, columns=inputs.columns, kinds=inputs.kinds,
            targets=targets, class_values=classes.names if classes else [], rows=source.kept,
        )  # fmt: skip
        add_row_columns(examples, source, frame, chosen.rows, kinds=chosen.kinds)
        if self.test_path:
            other = self._open_test(source, [*targets, *inputs.columns])
            rows = other.read([*inputs.columns, *targets], [*texts, *inputs.kinds])
            examples.test = inputs.read(other, rows), read_targets(other, rows, targets, labels=classes, task=task)
        return examples

    def _choose(self, header: list[str]) -> "_Chosen":
        """Return the columns that the options name, and those that may be inputs."""
        targets = self._targets(header)
        drop, zeros = (
            resolve(as_list(given), f"data.{option}", header, path=self.path)
            for option, given in (("drop", self.drop), ("zero_is_missing", self.zero_is_missing))
        )
        rows = self._row_columns(header)
        kinds = given_kinds(self.kinds, header, self.path)
        given = {"drop": drop, "zero_is_missing": zeros, "kinds": list(kinds)}
        given |= {option: [name] for option, name in rows.items()}
        for option, names in given.items():
            if both := [name for name in names if name in targets]:
                raise UserError(f"data.{option} names {both[0]!r}, which is the target: remove it from one of them.")
        excluded = {*targets, *drop, *(name for name, kind in kinds.items() if kind == "ignored")}
        excluded |= {name for option, name in rows.items() if option != "time"}
        columns = [name for name in header if name not in excluded]
        if not columns:
            hint = " Are its columns separated by something other than a comma, semicolon, tab or bar?"
            hint = hint if len(header) == 1 else ""
            raise UserError(f"{self.path} has no column besides {', '.join(targets)}, so there are no inputs.{hint}")
        return _Chosen(targets, columns, kinds, zeros, rows)

    def _row_columns(self, header: list[str]) -> dict[str, str]:
        return row_columns({"group": self.group, "time": self.time, "weight": self.weight}, header, self.path)

    def _classes(self, source: CsvFile, targets: list[str]) -> list[str]:
        """Return the targets that are read as text."""
        one, classes = len(targets) == 1, self.task in ("binary", "multiclass")
        if classes and not one:
            raise UserError(
                f"data.task={self.task} needs one target, but data.target has {len(targets)}: name one of them."
            )
        auto = self.task == "auto" and one and may_be_classes(source, targets[0])
        return targets if classes or auto else []

    def _open_test(self, source: CsvFile, columns: list[str]) -> CsvFile:
        other = open_csv(str(self.test_path), self.missing)
        for name in columns:
            resolve(name, "data.test_path", other.header.names, path=str(self.test_path))
        if other.header.separator == source.header.separator:
            other.decimal = source.decimal  # which may not be visible in the test file
        return other

    def _targets(self, header: list[str]) -> list[str]:
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
        dropped = resolve(as_list(self.drop), "data.drop", header, path=self.path)
        dropped += self._row_columns(header).values()
        kept = [name for name in header if name not in dropped and not name.startswith(UNNAMED)]
        if not kept:
            raise UserError(f"data.drop leaves no column of {self.path}: drop fewer.")
        log.info(f"data.target={kept[-1]}, the last column of {self.path}")
        return kept[-1:]


def _without_gaps(source: CsvFile, frame: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Return the rows of which all targets have a value."""
    complete = np.all([source.texts(frame, target)[0] >= 0 for target in targets], axis=0)
    if complete.all():
        return frame
    log.info(f"{source.path} has {(~complete).sum()} of {len(frame)} rows without a target, which are not used")
    if not complete.any():
        raise UserError(f"{source.path} has no row with a value in {', '.join(targets)}: choose another data.target.")
    source.kept = np.flatnonzero(complete)
    return frame[complete].reset_index(drop=True)
