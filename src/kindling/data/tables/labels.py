"""The targets of a table: classes and numbers."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.cells import BOOLEANS, cut, to_number
from kindling.data.tables.columns import as_list, as_strings, listed
from kindling.data.tables.csv_file import CsvFile

log = logging.getLogger("kindling")

# The largest number of class names that are compared with each other, in quadratic time.
MAX_COMPARED = 100


class Labels:
    """The sorted classes of the training file, which another file may spell differently.

    If all texts are numbers, 1 and 1.0 are the same class; if all are booleans, true and TRUE are; else they are texts.

    Args:
        texts: the distinct texts of the target.
        decimal: the decimal separator of the file.

    Attributes:
        names: names of the classes, each in its first spelling in the file.
    """

    def __init__(self, texts: list[str], decimal: str = "."):
        self.key: Callable[[str], Any]
        if all(to_number(text, decimal) is not None for text in texts):
            self.key = lambda text: to_number(text, decimal)
        else:
            self.key = str.lower if all(text.lower() in BOOLEANS for text in texts) else str
        spelling: dict[Any, str] = {}
        for text in texts:
            spelling.setdefault(self.key(text), text)
        self.keys = sorted(spelling)
        self.names = [spelling[key] for key in self.keys]

    def codes(
        self, source: CsvFile, frame: pd.DataFrame, target: str, class_names: list[str] | tuple[()] = ()
    ) -> np.ndarray:
        """Return the class index of each row (N,).

        Args:
            source: the file, for messages.
            frame: its table.
            target: name of the target column.
            class_names: other names of the classes, which the file may have instead.

        Raises:
            UserError: a cell is empty or has an unknown class.
        """
        codes, texts = source.texts(frame, target)
        reject_missing(source, target, codes < 0)
        index = {key: i for i, key in enumerate(self.keys)}
        names = {name: i for i, name in enumerate(class_names)}
        found = np.array([index.get(self.key(text), names.get(text, -1)) for text in texts])[codes]
        if (found < 0).any():
            row = int((found < 0).argmax())
            where = f"{cut(texts[codes[row]])!r} in the target {target!r}, {source.place(row)}"
            raise UserError(f"{source.path} has {where}: the training data has no such class.")
        return found


def find_labels(source: CsvFile, frame: pd.DataFrame, target: str, task: str) -> Labels:
    """Return the classes of a training file.

    Args:
        source: the training file.
        frame: its table.
        target: name of the target column.
        task: "binary" or "multiclass".

    Raises:
        UserError: a cell is empty, or the number of classes does not fit the task.
    """
    codes, texts = source.texts(frame, target)
    reject_missing(source, target, codes < 0)
    labels = Labels([texts[code] for code in np.unique(codes)], source.decimal)
    names = labels.names
    folded = [name.casefold() for name in names]
    alike = [name for name in names if folded.count(name.casefold()) > 1] if len(folded) <= MAX_COMPARED else []
    if alike:
        log.warning(f"{source.path} has {' and '.join(alike)} in {target}: they are different classes")
    required = "2 classes" if task == "binary" else "2 classes or more"
    if len(names) < 2 or (task == "binary" and len(names) > 2):
        found = f"{len(names)}: {listed(names)}"
        raise UserError(f"task={task} needs {required} in {target}, but {source.path} has {found}.")
    return labels


def class_names(given: Any, found: list[str], targets: list[str]) -> list[str]:
    """Return the names of the classes: those of data.class_names, or else the values that were found.

    Raises:
        UserError: their number is wrong, or a name occurs twice.
    """
    if not given:
        return found
    names = as_strings(as_list(given), "data.class_names")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UserError(f"data.class_names has {twice[0]!r} twice: give each class a unique name.")
    if len(names) != len(found):
        raise UserError(
            f"data.class_names has {len(names)} names, but {', '.join(targets)} has {len(found)} values: "
            f"{listed(found)}."
        )
    return names


def read_targets(
    source: CsvFile,
    frame: pd.DataFrame,
    targets: list[str],
    labels: Labels | None,
    task: str,
    class_names: list[str] | tuple[()] = (),
) -> torch.Tensor:
    """Return the targets: class indices (N,) for multiclass, else floats (N, num_outputs).

    Raises:
        UserError: a cell is empty, or not a number or a known class.
    """
    if labels:
        codes = torch.from_numpy(labels.codes(source, frame, targets[0], class_names))
        return codes.long() if task == "multiclass" else codes.float()[:, None]
    y = np.empty((len(frame), len(targets)))
    for i, target in enumerate(targets):
        reject_missing(source, target, frame[target].isna().to_numpy())
        y[:, i] = source.numbers(frame, target, frozenset())
        reject_missing(source, target, np.isnan(y[:, i]))
    invalid = np.argwhere((y != 0) & (y != 1))
    if task == "multilabel" and len(invalid):
        row, column = invalid[0]
        place = f"the label {targets[column]!r}, {source.place(row)}"
        raise UserError(f"{source.path} has {y[row, column]:g} in {place}: task=multilabel needs 0 or 1.")
    return torch.from_numpy(y).float() if task == "multilabel" else torch.from_numpy(y)


def reject_missing(source: CsvFile, target: str, gaps: np.ndarray) -> None:
    """Check that the target has no missing values.

    Raises:
        UserError: one of `gaps` (N,) is true.
    """
    if gaps.any():
        place = source.place(int(gaps.argmax())) + (f", the first of {gaps.sum()} such rows" if gaps.sum() > 1 else "")
        raise UserError(
            f"{source.path} has no value in the target {target!r}, {place}: fill it in, or leave such rows "
            "out with data.drop_missing_target=true."
        )
