"""The classes of a CSV's target in the file's spelling, and the task that a target suggests."""

import logging

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.columns import as_option, shown
from kindling.data.csv_cells import BOOLEANS, MARKERS, cut, to_number
from kindling.data.csv_file import CsvFile

log = logging.getLogger("kindling")

# Whole numbers are classes up to so many of them, with so many rows each.
MOST_CLASSES, ROWS_A_CLASS = 20, 10
# Classes whose names are compared with each other, which takes the square of their number.
MOST_NAMES = 100


class Labels:
    """The sorted classes of the training file, whose test file may spell them otherwise.

    All cells are numbers (1 and 1.0 are one class), or all are booleans (true and TRUE are one), or they are texts.

    Args:
        names: of the classes, each as the file spells it first.

    Raises:
        UserError: a cell is empty, or there are too few or too many classes for the task.
    """

    def __init__(self, source: CsvFile, frame: pd.DataFrame, target: str, task: str):
        codes, texts = source.texts(frame, target)
        refuse_gap(source, target, codes < 0)
        texts = [texts[code] for code in np.unique(codes)]
        if all(to_number(text, source.decimal) is not None for text in texts):
            self.key = lambda text: to_number(text, source.decimal)
        else:
            self.key = str.lower if all(text.lower() in BOOLEANS for text in texts) else str
        spelling: dict = {}
        for text in texts:
            spelling.setdefault(self.key(text), text)
        self.keys = sorted(spelling)
        self.names = [spelling[key] for key in self.keys]
        folded = [name.casefold() for name in self.names]
        alike = [name for name in self.names if folded.count(name.casefold()) > 1] if len(folded) <= MOST_NAMES else []
        if alike:
            log.warning(f"{source.path} has {' and '.join(alike)} in {target}: they count as different classes")
        wanted = "2 classes" if task == "binary" else "2 classes or more"
        if len(self.keys) < 2 or (task == "binary" and len(self.keys) > 2):
            found = f"{len(self.keys)}: {shown(self.names)}"
            raise UserError(f"task={task} needs {wanted} in {target}, {source.path} has {found}.")

    def codes(self, source: CsvFile, frame: pd.DataFrame, target: str) -> np.ndarray:
        """Return the class index of each row (N,).

        Raises:
            UserError: a cell is empty, or of none of the classes.
        """
        codes, texts = source.texts(frame, target)
        refuse_gap(source, target, codes < 0)
        place = {key: i for i, key in enumerate(self.keys)}
        found = np.array([place.get(self.key(text), -1) for text in texts])[codes]
        if (found < 0).any():
            row = int((found < 0).argmax())
            where = f"{cut(texts[codes[row]])!r} in the target {target!r}, line {source.line_of(row)}"
            raise UserError(f"{source.path} has {where}: the training rows have no such class.")
        return found


def refuse_gap(source: CsvFile, target: str, gaps: np.ndarray) -> None:
    """Refuse a target without a value.

    Raises:
        UserError: one of `gaps` (N,) is true.
    """
    if gaps.any():
        line = source.line_of(int(gaps.argmax()))
        raise UserError(
            f"{source.path} has no value in the target {target!r}, line {line}: fill it in, or delete the line."
        )


def may_be_classes(source: CsvFile, target: str) -> bool:
    """Whether the first rows leave it open that a target has classes: there are not too many different numbers."""
    _, texts = source.texts(source.sample, target)
    return sum(to_number(text, source.decimal) is not None for text in texts) <= MOST_CLASSES


def guess(source: CsvFile, frame: pd.DataFrame, targets: list[str]) -> str:
    """Return the task that the target's values suggest; log it, with the reason.

    Raises:
        UserError: they suggest none.
    """
    if len(targets) > 1:
        yes_or_no = all(np.isin(source.numbers(frame, name, frozenset()), [0, 1]).all() for name in targets)
        task, why = ("multilabel", "0 or 1") if yes_or_no else ("regression", "several columns of numbers")
    else:
        task, why = _guess_one(source, frame, targets[0])
    log.info(f"data.task={task}, as {', '.join(targets)} is {why}; say data.task=... to differ")
    return task


def _guess_one(source: CsvFile, frame: pd.DataFrame, target: str) -> tuple[str, str]:
    if frame[target].dtype.kind in "iuf":  # not read as text, because there are many different numbers
        return "regression", f"a number of {frame[target].nunique()} values"
    codes, texts = source.texts(frame, target)
    kinds, rows = np.unique(codes[codes >= 0], return_counts=True)
    numbers = [to_number(texts[kind], source.decimal) for kind in kinds]
    odd = [i for i, number in enumerate(numbers) if number is None]
    if odd:
        _refuse_odd(source, target, codes, texts=texts, kinds=kinds, rows=rows, odd=odd)
        if len(kinds) > MOST_CLASSES and len(kinds) > rows.sum() / 2:
            raise UserError(
                f"{source.path} has {len(kinds)} different texts in the target {target!r}, in {rows.sum()} rows: names "
                f"rather than classes, or dates or numbers with a unit, such as {cut(texts[kinds[0]])!r}. Choose "
                "another data.target, write plain numbers, or say data.task=multiclass."
            )
        kinds = {text.lower() if text.lower() in BOOLEANS else text for text in (texts[kind] for kind in kinds)}
        return "binary" if len(kinds) == 2 else "multiclass", f"text of {len(kinds)} kind{'s' * (len(kinds) != 1)}"
    distinct = len(set(numbers))
    if distinct <= 2:
        return "binary", f"a number of {distinct} values"
    whole = all(number % 1 == 0 for number in numbers)
    if whole and distinct <= MOST_CLASSES and rows.sum() >= ROWS_A_CLASS * distinct:
        return "multiclass", f"{distinct} whole numbers"
    return "regression", f"a number of {distinct} values"


def _refuse_odd(source, target, codes, texts, kinds, rows, odd) -> None:
    """Refuse a few texts among numbers, unless they are as frequent as the numbers and these are few: 1, 2, 3, 3a."""
    count, total = rows[odd].sum(), rows.sum()
    if 2 * count >= total:
        return
    numbers = np.delete(rows, odd)
    frequent = rows[odd].min() >= max(2, numbers.min() / 2) and len(numbers) <= MOST_CLASSES
    if frequent and not any(texts[kinds[i]] in {*MARKERS, "?", "-"} for i in odd):
        return
    row = int(np.isin(codes, kinds[odd]).argmax())
    raise UserError(
        f"{source.path} has {cut(texts[codes[row]])!r} in the target {target!r}, line {source.line_of(row)}, where "
        f"{total - count} of {total} cells are numbers: mend it or delete the line; data.task=multiclass takes every "
        f"text as a class; {as_option('data.drop', target)} with another data.target leaves the column out."
    )
