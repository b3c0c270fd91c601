"""Tables from CSV files, with one or several targets."""

import logging
from typing import Any

import pandas as pd
import torch

from kindling import UserError
from kindling.data.base import Data
from kindling.data.columns import as_list, as_strings, listed, parses_as, resolve
from kindling.data.csv_file import CsvFile, open_csv
from kindling.data.csv_header import UNNAMED
from kindling.data.examples import Column, Examples
from kindling.data.guess_task import guess, may_be_classes
from kindling.data.inputs import Inputs, find_inputs, given_kinds
from kindling.data.kinds import declared, recognize, text_codes
from kindling.data.labels import find_labels, read_targets
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
        kinds: overrides the detected kinds of columns: "number", "category", "boolean", "date",
            a format of dates such as "%d.%m.%Y", or "ignored".
        group: a column; rows with the same value in it stay in the same part of the split. It is not an input.
        time: a column of numbers or dates; the latest rows form the test set, those before the validation set.
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
        zero_is_missing: list[str] | tuple[str, ...] = (),
        missing: list[Any] | tuple[Any, ...] = (),
        **data: Any,
    ):
        super().__init__(**data)
        if task not in ("auto", *TASKS):
            raise UserError(f"data.task={task} is unknown: choose auto, {', '.join(TASKS)}.")
        self.path, self.target, self.task, self.test_path = path, target, task, test_path
        self.class_names, self.drop, self.zero_is_missing = class_names, drop, zero_is_missing
        self.kinds, self.group, self.time, self.missing = kinds, group, time, as_list(missing)

    def load(self) -> Examples:
        source = open_csv(self.path, self.missing)
        header = source.header.names
        targets = self._targets(header)
        special = {option: resolve(as_list(getattr(self, option)), f"data.{option}", header, path=self.path)
                   for option in ("drop", "zero_is_missing", "group", "time")}  # fmt: skip
        kinds = given_kinds(self.kinds, header, self.path)
        for option, names in {**special, "kinds": list(kinds)}.items():
            if both := [name for name in names if name in targets]:
                raise UserError(f"data.{option} names {both[0]!r}, which is the target: remove it from one of them.")
        excluded = {*targets, *special["drop"], *(name for name, kind in kinds.items() if kind == "ignored")}
        columns = [name for name in header if name not in excluded and name not in special["group"]]
        if not columns:
            hint = " Are its columns separated by something other than a comma, semicolon, tab or bar?"
            hint = hint if len(header) == 1 else ""
            raise UserError(f"{self.path} has no column besides {', '.join(targets)}, so there are no inputs.{hint}")
        used = list(dict.fromkeys([*columns, *targets, *special["group"], *special["time"]]))
        texts = self._classes(source, targets)
        labels = [*texts, *special["group"], *(name for name, kind in kinds.items() if kind != "number")]
        frame = source.read(used, list(dict.fromkeys(labels)))
        task = guess(source, frame, targets) if self.task == "auto" else self.task
        classes = find_labels(source, frame, targets[0], task) if task in ("binary", "multiclass") else None
        fill = "median" if self.missing_indicator else "mean"
        inputs = Inputs(*find_inputs(source, frame, columns, kinds), special["zero_is_missing"], fill)
        names = [] if task == "regression" else self._names(classes.names if classes else targets, targets)
        examples = Examples(
            inputs.read(source, frame), read_targets(source, frame, targets, labels=classes, task=task), task,
            class_names=names, columns=inputs.columns, kinds=inputs.kinds, targets=targets,
            class_values=classes.names if classes else [],
        )  # fmt: skip
        for name in special["group"]:
            examples.groups = torch.from_numpy(text_codes(source, frame, name)[0])
        for name in special["time"]:
            examples.times = _times(source, frame, name, kinds.get(name))
        if self.test_path:
            other = self._open_test(source, [*targets, *inputs.columns])
            rows = other.read([*inputs.columns, *targets], [*texts, *inputs.kinds])
            examples.test = inputs.read(other, rows), read_targets(other, rows, targets, labels=classes, task=task)
        return examples

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
        kept = [name for name in header if name not in dropped and not name.startswith(UNNAMED)]
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


def _times(source: CsvFile, frame: pd.DataFrame, name: str, kind: Any) -> torch.Tensor:
    """Return the numbers or days in the column data.time (N,)."""
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
