"""Describe the data, its samples, columns and classes, as a table for TensorBoard's Text tab."""

import torch

from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.data.transforms import target_scaling
from kindling.plots.style import markdown

MAX_COLUMNS = 40


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
    lines += ["", "| column | mean | std | min | max | missing |", "| --- | --- | --- | --- | --- | --- |"]
    for name, column in list(zip(names, x.double().T, strict=True))[:MAX_COLUMNS]:
        present = column[~column.isnan()]
        numbers = (present.mean(), present.std(correction=0), present.min(), present.max()) if len(present) else ()
        cells = " | ".join(f"{n.item():.4g}" for n in numbers) if numbers else " | | |"
        lines.append(f"| {markdown(name)} | {cells} | {len(column) - len(present)} |")
    lines += [f"| and {len(names) - MAX_COLUMNS} more | | | | | |"] * (len(names) > MAX_COLUMNS)
    return "\n".join(lines)


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
