"""Describe the data, its samples, columns and classes, as a table for TensorBoard's Text tab."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kindling.data.base import Data
from kindling.data.examples import Column, Examples
from kindling.data.preprocessing.transforms import target_scaling
from kindling.plots.style import markdown

MAX_COLUMNS = 40
MAX_VALUES = 5  # most frequent values of a category that are shown


def data_summary(data: Data) -> str:
    """Return Markdown with the samples and targets of each stage, and the range and gaps of each raw column."""
    examples = data.examples
    head = "| samples | number |" + _heads(examples)
    lines = [f"**{type(data).__name__}**, {examples.task}", "", head, _rule(examples)]
    for stage, (x, y) in data.samples.items():
        lines.append(f"| {stage} | {len(x):,} |" + _cells(data, y))
    x = examples.x
    if x.dim() != 2:
        shape = " x ".join(map(str, x.shape[1:]))
        return "\n".join([*lines, "", f"inputs: {shape}, {x.dtype}, from {x.min():g} to {x.max():g}"])
    names = examples.columns if len(examples.columns) == x.shape[1] else [f"x{i}" for i in range(x.shape[1])]
    columns = list(zip(names, x.double().T, strict=True))
    numbers = [(name, column) for name, column in columns if name not in examples.kinds]
    others = [(name, column) for name, column in columns if name in examples.kinds]
    if numbers:
        lines += ["", "| column | mean | std | min | max | missing |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_number_row(name, column) for name, column in numbers[:MAX_COLUMNS]]
        lines += [f"| and {len(numbers) - MAX_COLUMNS} more | | | | | |"] * (len(numbers) > MAX_COLUMNS)
    if others:
        lines += ["", "| column | kind | values | missing |", "| --- | --- | --- | --- |"]
        lines += [_other_row(name, column, examples.kinds[name]) for name, column in others[:MAX_COLUMNS]]
        lines += [f"| and {len(others) - MAX_COLUMNS} more | | | |"] * (len(others) > MAX_COLUMNS)
    return "\n".join(lines)


def _number_row(name: str, column: Tensor) -> str:
    present = column[~column.isnan()]
    numbers = (present.mean(), present.std(correction=0), present.min(), present.max()) if len(present) else ()
    cells = " | ".join(f"{n.item():.4g}" for n in numbers) if numbers else " | | |"
    return f"| {markdown(name)} | {cells} | {len(column) - len(present)} |"


def _other_row(name: str, column: Tensor, kind: Column) -> str:
    """Return the most frequent values of a category and their shares, or the range of dates."""
    present = column[~column.isnan()]
    if kind.kind == "date":
        ends: Any = np.array([present.min(), present.max()]).astype("datetime64[D]") if len(present) else []
        values = " to ".join(map(str, ends))
    else:
        counts = torch.bincount(present.long(), minlength=len(kind.values))
        frequent = counts.argsort(descending=True, stable=True)[:MAX_VALUES].tolist()
        values = ", ".join(f"{kind.values[i]} {counts[i] / len(present):.0%}" for i in frequent if counts[i])
        values += f" and {len(kind.values) - MAX_VALUES} more" * (len(kind.values) > MAX_VALUES)
    return f"| {markdown(name)} | {kind.kind} | {markdown(values)} | {len(column) - len(present)} |"


def _classes(examples: Examples) -> list[str]:
    return list(examples.class_names) if examples.task != "regression" else ["mean", "std"]


def _heads(examples: Examples) -> str:
    return "".join(f" {markdown(name)} |" for name in _classes(examples))


def _rule(examples: Examples) -> str:
    return "| --- |" + " --- |" * (1 + len(_classes(examples)))


def _cells(data: Data, y: torch.Tensor) -> str:
    if len(y) == 0:
        return " |" * len(_classes(data.examples))
    task = data.examples.task
    if task == "regression":
        std, shift = target_scaling(data.transform)
        y = y.double() * std + shift
        return f" {y.mean(0)[0].item():.4g} | {y.std(0, correction=0)[0].item():.4g} |"
    if task == "multilabel":
        counts = y.sum(0).long().tolist()
    else:
        counts = torch.bincount(y.long().flatten(), minlength=len(data.examples.class_names)).tolist()
    return "".join(f" {n:,} |" for n in counts)
