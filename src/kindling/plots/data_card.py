"""The data in words: rows, columns and classes, as a table for TensorBoard's Text tab."""

import torch

from kindling.data.transforms import target_scaling
from kindling.plots.style import markdown

MOST_COLUMNS = 40


def data_card(data) -> str:
    """Markdown: each stage's rows, with their classes or target, and each raw column's range, and what is missing."""
    examples = data.examples
    lines = [f"**{type(data).__name__}**, {examples.task}", "", "| rows | number |" + _heads(examples), _rule(examples)]
    for stage, (x, y) in data.samples.items():
        lines.append(f"| {stage} | {len(x):,} |" + _cells(data, y))
    x = examples.x
    if x.dim() != 2:
        shape = " x ".join(map(str, x.shape[1:]))
        return "\n".join([*lines, "", f"inputs: {shape}, {x.dtype}, from {x.min():g} to {x.max():g}"])
    names = examples.columns if len(examples.columns) == x.shape[1] else [f"x{i}" for i in range(x.shape[1])]
    lines += ["", "| column | mean | std | min | max | missing |", "| --- | --- | --- | --- | --- | --- |"]
    for name, column in list(zip(names, x.double().T, strict=True))[:MOST_COLUMNS]:
        there = column[~column.isnan()]
        numbers = (there.mean(), there.std(correction=0), there.min(), there.max()) if len(there) else ()
        cells = " | ".join(f"{n.item():.4g}" for n in numbers) if numbers else " | | |"
        lines.append(f"| {markdown(name)} | {cells} | {len(column) - len(there)} |")
    lines += [f"| and {len(names) - MOST_COLUMNS} more | | | | | |"] * (len(names) > MOST_COLUMNS)
    return "\n".join(lines)


def _classes(examples) -> list[str]:
    return list(examples.class_names) if examples.task != "regression" else ["mean", "std"]


def _heads(examples) -> str:
    return "".join(f" {markdown(name)} |" for name in _classes(examples))


def _rule(examples) -> str:
    return "| --- |" + " --- |" * (1 + len(_classes(examples)))


def _cells(data, y: torch.Tensor) -> str:
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
