"""Detection of the task from the target of a table."""

import logging

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.cells import BOOLEANS, MARKERS, cut, to_number
from kindling.data.tables.columns import as_option
from kindling.data.tables.csv_file import CsvFile

log = logging.getLogger("kindling")

# A target of integers has classes if it has at most MAX_CLASSES values, with at least ROWS_PER_CLASS rows each.
MAX_CLASSES, ROWS_PER_CLASS = 20, 10


def may_be_classes(source: CsvFile, target: str) -> bool:
    """Return whether a target may have classes, because its first rows do not have too many distinct numbers."""
    _, texts = source.texts(source.sample, target)
    return sum(to_number(text, source.decimal) is not None for text in texts) <= MAX_CLASSES


def guess(source: CsvFile, frame: pd.DataFrame, targets: list[str]) -> str:
    """Return the task that fits the values of the target, and log it with the reason.

    Raises:
        UserError: no task fits.
    """
    if len(targets) > 1:
        is_binary = all(np.isin(source.numbers(frame, name, frozenset()), [0, 1]).all() for name in targets)
        task, why = ("multilabel", "0 or 1") if is_binary else ("regression", "several columns of numbers")
    else:
        task, why = _guess_one(source, frame, targets[0])
    log.info(f"data.task={task}, because {', '.join(targets)} is {why}; set data.task=... to change this")
    return task


def _guess_one(source: CsvFile, frame: pd.DataFrame, target: str) -> tuple[str, str]:
    if frame[target].dtype.kind in "iuf":  # not read as text, because it has many distinct numbers
        return "regression", f"a number with {frame[target].nunique()} values"
    codes, texts = source.texts(frame, target)
    kinds, rows = np.unique(codes[codes >= 0], return_counts=True)
    parsed = [to_number(texts[kind], source.decimal) for kind in kinds]
    numbers = [number for number in parsed if number is not None]
    odd = [i for i, number in enumerate(parsed) if number is None]
    if odd:
        _reject_rare_texts(source, target, codes, texts=texts, kinds=kinds, rows=rows, odd=odd)
        if len(kinds) > MAX_CLASSES and len(kinds) > rows.sum() / 2:
            raise UserError(
                f"{source.path} has {len(kinds)} distinct texts in the target {target!r}, in {rows.sum()} rows: names "
                f"rather than classes, or dates or numbers with a unit, such as {cut(texts[kinds[0]])!r}. Choose "
                "another data.target, write plain numbers, or set data.task=multiclass."
            )
        classes = {text.lower() if text.lower() in BOOLEANS else text for text in (texts[kind] for kind in kinds)}
        values = f"text with {len(classes)} value{'s' * (len(classes) != 1)}"
        return "binary" if len(classes) == 2 else "multiclass", values
    distinct = len(set(numbers))
    if distinct <= 2:
        return "binary", f"a number with {distinct} value{'s' * (distinct != 1)}"
    is_integer = all(number % 1 == 0 for number in numbers)
    if is_integer and distinct <= MAX_CLASSES and rows.sum() >= ROWS_PER_CLASS * distinct:
        return "multiclass", f"an integer with {distinct} values"
    return "regression", f"a number with {distinct} values"


def _reject_rare_texts(
    source: CsvFile, target: str, codes: np.ndarray, texts: list[str], kinds: np.ndarray, rows: np.ndarray,
    odd: list[int],
) -> None:  # fmt: skip
    """Raise UserError for a few texts among many numbers, but not for classes such as 1, 2, 3, 3a.

    Args:
        source: the file.
        target: name of the target column.
        codes: index of each cell (N,) in texts.
        texts: the distinct texts.
        kinds: indices of the texts that occur.
        rows: number of rows of each of these.
        odd: those of `kinds` that are not numbers.
    """
    count, total = rows[odd].sum(), rows.sum()
    if 2 * count >= total:
        return
    numbers = np.delete(rows, odd)
    frequent = rows[odd].min() >= max(2, numbers.min() / 2) and len(numbers) <= MAX_CLASSES
    if frequent and not any(texts[kinds[i]] in {*MARKERS, "?", "-"} for i in odd):
        return
    row = int(np.isin(codes, kinds[odd]).argmax())
    raise UserError(
        f"{source.path} has {cut(texts[codes[row]])!r} in the target {target!r}, {source.place(row)}, where "
        f"{total - count} of {total} cells are numbers: correct it, delete the line, or make every text a class with "
        f"data.task=multiclass; to exclude the column, use {as_option('data.drop', target)} and another data.target."
    )
