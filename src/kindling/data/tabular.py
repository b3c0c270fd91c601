"""Tables: one CSV, numeric columns, one or several targets."""

import logging

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.base import Data, Examples
from kindling.data.read import line_of, numbers, read_csv
from kindling.tasks import TASKS

log = logging.getLogger("kindling")

# Guessing the task: whole numbers are classes up to so many of them, with so many rows each.
MOST_CLASSES, ROWS_A_CLASS = 20, 10
# Texts are classes up to so many of them; beyond, with more of them than half the rows, they are names.
MOST_NAMES = 100


class Table(Data):
    """A CSV with a header.

    Args:
        path: the file; a relative path counts from the working folder, else from the project.
        target: the column to predict, several of them for multilabel and regression with several outputs, or None for
            the last column.
        task: "binary", "multiclass", "multilabel", "regression", or "auto": guessed from the target, and said.
        test_path: a second CSV with the same columns, used as test rows only.
        class_names: names for the sorted values of the target; default: the values.
        drop: columns that are no inputs.
        zero_is_missing: columns in which 0 means that nothing was measured.

    Raises:
        UserError: by `load`, with file, column and line.
    """

    def __init__(
        self,
        path: str,
        target: str | list[str] | None = None,
        task: str = "auto",
        test_path: str | None = None,
        class_names: list[str] | None = None,
        drop: list[str] | tuple = (),
        zero_is_missing: list[str] | tuple = (),
        **data,
    ):
        super().__init__(**data)
        if task not in ("auto", *TASKS):
            raise UserError(f"data.task={task} is unknown: choose auto, {', '.join(TASKS)}.")
        self.path, self.target, self.task, self.test_path = path, target, task, test_path
        self.class_names, self.drop, self.zero_is_missing = class_names, drop, zero_is_missing

    def load(self) -> Examples:
        frame = read_csv(self.path)
        targets = self._targets(frame)
        self._check_columns(self.path, frame, [*targets, *self.drop, *self.zero_is_missing])
        columns = [name for name in frame.columns if name not in targets and name not in self.drop]
        if not columns:
            raise UserError(f"{self.path} has no column besides {', '.join(targets)}: nothing to predict from.")
        task = self._guess(frame, targets) if self.task == "auto" else self.task
        classes = self._classes(frame, targets, task)
        test = None
        if self.test_path:
            rows = read_csv(self.test_path)
            self._check_columns(self.test_path, rows, [*targets, *columns])
            test = self._x(self.test_path, rows, columns), self._y(self.test_path, rows, targets, classes, task)
        x, y = self._x(self.path, frame, columns), self._y(self.path, frame, targets, classes, task)
        names = [] if task == "regression" else self.class_names or [str(name) for name in classes]
        return Examples(x, y, task, names, columns, test)

    def _targets(self, frame: pd.DataFrame) -> list[str]:
        if self.target is None:
            kept = [name for name in frame.columns if name not in self.drop]
            log.info(f"data.target={kept[-1]}, the last column of {self.path}")
            return kept[-1:]
        return [self.target] if isinstance(self.target, str) else list(self.target)

    def _guess(self, frame: pd.DataFrame, targets: list[str]) -> str:
        """The task that the target's values suggest; says it, with the reason."""
        values = frame[targets]
        if len(targets) > 1:
            yes_or_no = values.isin([0, 1]).all(axis=None)
            task, why = ("multilabel", "0 or 1") if yes_or_no else ("regression", "several columns of numbers")
        else:
            task, why = _guess_one(values.iloc[:, 0].dropna(), self.path)
        log.info(f"data.task={task}, as {', '.join(targets)} is {why}; say data.task=... to differ")
        return task

    def _classes(self, frame: pd.DataFrame, targets: list[str], task: str) -> list:
        """The sorted values of the target, or the targets themselves where each is an output."""
        if task not in ("binary", "multiclass"):
            classes = targets
        else:
            self._refuse_gaps(self.path, frame, targets[0])
            classes = sorted(frame[targets[0]].unique())
            wanted = "2 classes" if task == "binary" else "2 classes or more"
            if len(classes) < 2 or (task == "binary" and len(classes) > 2):
                shown = ", ".join(str(name) for name in classes[:9])
                raise UserError(f"task={task} needs {wanted} in {targets[0]}, {self.path} has {len(classes)}: {shown}.")
        if self.class_names and task != "regression" and len(self.class_names) != len(classes):
            raise UserError(
                f"data.class_names has {len(self.class_names)} names, {targets[0]} has {len(classes)} values: "
                f"{', '.join(str(name) for name in classes[:9])}."
            )
        return classes

    def _check_columns(self, path: str, frame: pd.DataFrame, wanted: list[str]) -> None:
        absent = [name for name in wanted if name not in frame.columns]
        if absent:
            raise UserError(f"{path} has no column {absent[0]!r}; its columns: {', '.join(frame.columns)}.")

    def _refuse_gaps(self, path: str, frame: pd.DataFrame, target: str) -> None:
        gaps = np.flatnonzero(frame[target].isna())
        if len(gaps):
            line = line_of(path, gaps[0])
            raise UserError(
                f"{path} has no value in the target {target!r}, line {line}: fill it in, or delete the line."
            )

    def _x(self, path: str, frame: pd.DataFrame, columns: list[str]) -> torch.Tensor:
        x = np.empty((len(frame), len(columns)))  # rows together: pandas keeps columns together
        for i, name in enumerate(columns):
            x[:, i] = numbers(path, frame, name)
            if name in self.zero_is_missing:
                x[x[:, i] == 0, i] = np.nan
        return torch.from_numpy(x)

    def _y(self, path: str, frame: pd.DataFrame, targets: list[str], classes: list, task: str) -> torch.Tensor:
        for target in targets:
            self._refuse_gaps(path, frame, target)
        if task in ("binary", "multiclass"):
            codes = pd.Index(classes).get_indexer(frame[targets[0]])
            if (codes < 0).any():
                row = int((codes < 0).argmax())
                raise UserError(
                    f"{path} has {frame[targets[0]][row]!r} in the target {targets[0]!r}, line {line_of(path, row)}: "
                    "the training rows have no such class."
                )
            return torch.tensor(codes).long() if task == "multiclass" else torch.tensor(codes).float()[:, None]
        y = np.stack([numbers(path, frame, target) for target in targets], 1)
        odd = np.argwhere((y != 0) & (y != 1))
        if task == "multilabel" and len(odd):
            row, column = odd[0]
            place = f"the label {targets[column]!r}, line {line_of(path, row)}"
            raise UserError(f"{path} has {y[row, column]:g} in {place}: task=multilabel wants 0 or 1.")
        return torch.from_numpy(y).float() if task == "multilabel" else torch.from_numpy(y)


def _guess_one(values: pd.Series, path: str) -> tuple[str, str]:
    distinct = values.nunique()
    if values.dtype.kind not in "fiu":  # text or booleans
        if distinct > MOST_NAMES and distinct > len(values) / 2:
            raise UserError(
                f"{path} has {distinct} different texts in the target {values.name!r}, in {len(values)} rows: names "
                "rather than classes. Choose another data.target, or say data.task=multiclass."
            )
        return "binary" if distinct == 2 else "multiclass", f"text of {distinct} kinds"
    if distinct <= 2:
        return "binary", f"a number of {distinct} values"
    if (values % 1 == 0).all() and distinct <= MOST_CLASSES and len(values) >= ROWS_A_CLASS * distinct:
        return "multiclass", f"{distinct} whole numbers"
    return "regression", f"a number of {distinct} values"
