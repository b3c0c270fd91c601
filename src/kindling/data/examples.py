"""The return value of `Data.load`, and its validation."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.cells import BOOLEANS, to_number
from kindling.tasks.tasks import TASKS

LARGEST = 1e150  # its square is a finite float64
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass
class Column:
    """An input column that is not a number, as plain data.

    Args:
        kind: "category", "boolean" or "date".
        values: the sorted texts of a category, or "false" and "true".
        format: of a date: see `to_days`.
        pooled: whether values that are not among `values` share an input.
        is_numeric: whether equal numbers are the same value, as 1 and 1.0; None: if all values are numbers.
    """

    kind: str
    values: list[str] = field(default_factory=list)
    format: str = ""
    pooled: bool = False
    is_numeric: bool | None = None

    def __post_init__(self) -> None:
        if self.is_numeric is None:
            self.is_numeric = all(to_number(value) is not None for value in self.values)

    def key(self, text: str) -> Any:
        """Return what equal values have in common: 1 and 1.0 are the same number, True and true the same boolean."""
        if self.kind == "boolean":
            return BOOLEANS.get(text.lower(), to_number(text))
        return to_number(text) if self.is_numeric else text


@dataclass
class Examples:
    """The samples of a data set.

    Args:
        x: inputs (N, *input_shape), floats with NaN for missing values, or uint8 for images.
        y: class indices (N,) for multiclass, else floats (N, num_outputs).
        task: "binary", "multiclass", "multilabel" or "regression".
        class_names: names of the classes or labels; may be empty except for multiclass.
        columns: names of the columns of x; may be empty.
        test: x and y of separate test samples; None: they are split off.
        kinds: the columns that are not numbers, by name. For a category x has the index of the value, and -1 for an
            unknown one; for a boolean 0 or 1; for a date the days since 1970-01-01.
        rows: the number of each sample's row in the file; None: they are the first ones, in order.
        targets: names of the target columns; may be empty.
        class_values: the texts of the classes in the file, in the order of class_names; may be empty.
        groups: a number for each sample (N,); samples with the same one stay in the same part of the split.
        times: a number for each sample (N,); the latest form the test set, those before the validation set.
        weights: numbers of at least 0 (N,), the weights of the samples in the losses of training and validation.
        shift: maximum random shift of training images, in pixels.
    """

    x: Tensor
    y: Tensor
    task: str
    class_names: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    test: tuple[Tensor, Tensor] | None = None
    kinds: dict[str, Column] = field(default_factory=dict)
    rows: np.ndarray | None = None
    targets: list[str] = field(default_factory=list)
    class_values: list[str] = field(default_factory=list)
    groups: Tensor | None = None
    times: Tensor | None = None
    weights: Tensor | None = None
    shift: int = 0

    @property
    def num_outputs(self) -> int:
        """The number of logits, or of targets of a regression."""
        return len(self.class_names) if self.task == "multiclass" else self.y.shape[1]


def check_examples(examples: Examples, name: str) -> None:
    """Check the types, shapes and values that `load` returned.

    Args:
        examples: the return value.
        name: name of the data class, for the error message.

    Raises:
        UserError: they are invalid; the message gives the found and expected values and points to LightningDataModule.
    """

    def reject(found: str, expected: str) -> NoReturn:
        raise UserError(
            f"{name}.load() returned {found}; expected {expected}. For other kinds of data, such as several inputs "
            "or inputs of different lengths, write an ordinary LightningDataModule: see docs/models.md, Any "
            "LightningModule."
        )

    if not isinstance(examples, Examples):
        reject(_described(examples), "kindling.data.examples.Examples(x, y, task, ...)")
    if not isinstance(examples.task, str) or examples.task not in TASKS:
        reject(f"as task {_described(examples.task)}", f"one of {', '.join(TASKS)}")
    pairs = {"": (examples.x, examples.y)}
    if examples.test is not None:
        if not isinstance(examples.test, tuple | list) or len(examples.test) != 2:
            reject(f"as test {_described(examples.test)}", "a pair of x and y")
        pairs["test "] = examples.test
    for part, (x, y) in pairs.items():
        if problem := _check_x(x) or _check_y(y, examples):
            reject(part + problem[0], problem[1])
        if len(x) != len(y):
            reject(f"{part}x of length {len(x)} and {part}y of length {len(y)}", "equal lengths")
        if (x.shape[1:], x.is_floating_point()) != (examples.x.shape[1:], examples.x.is_floating_point()):
            reject(f"{part}x as {_described(x)} and x as {_described(examples.x)}", "the same shape and type in both")
    if examples.columns and (examples.x.dim() != 2 or len(examples.columns) != examples.x.shape[1]):
        reject(f"{len(examples.columns)} column names and x as {_described(examples.x)}", "a name for each column")
    if problem := _check_parts(examples) or _check_kinds(examples):
        reject(*problem)


def _check_parts(examples: Examples) -> tuple[str, str] | None:
    parts = {"groups": examples.groups, "times": examples.times, "weights": examples.weights}
    for part, given in parts.items():
        if given is not None and (not isinstance(given, Tensor) or given.shape != (len(examples.y),)):
            return f"{part} as {_described(given)}", f"a tensor with a number for each of the {len(examples.y)} samples"
    if examples.weights is not None and not (examples.weights.isfinite() & (examples.weights >= 0)).all():
        return f"{examples.weights.min():g} in weights", "finite numbers of at least 0"
    return None


def _check_kinds(examples: Examples) -> tuple[str, str] | None:
    for name, column in examples.kinds.items():
        if name not in examples.columns:
            return f"a kind for {name!r}", "kinds of the columns that it names"
        codes = examples.x[:, examples.columns.index(name)]
        largest = codes[~codes.isnan()].max().item() if column.values and not codes.isnan().all() else -1
        if largest >= len(column.values) > 0:
            return f"the code {largest:g} in column {name!r}", f"indices of its {len(column.values)} values"
    return None


def _check_x(x: Any) -> tuple[str, str] | None:
    expected = (
        "a tensor of floating point numbers (N, columns) or (N, *input_shape), or of uint8 (N, channels, height, width)"
    )
    if not isinstance(x, Tensor) or x.layout != torch.strided:
        return f"x as {_described(x)}", expected
    if x.dim() < 2 or not x.numel() or not (x.is_floating_point() or (x.dtype == torch.uint8 and x.dim() == 4)):
        hint = "; convert it with x.float()" if x.dim() > 1 and x.dtype in INTEGERS else ""
        return f"x as {_described(x)}", expected + hint
    large = x.abs() > min(LARGEST, torch.finfo(x.dtype).max) if x.is_floating_point() else torch.zeros(1)
    if large.any():
        row, *index = large.nonzero()[0].tolist()
        value = x[(row, *index)].item()
        return f"{value:g} in row {row} of x, at {index}", f"numbers up to {LARGEST:g}, and NaN for missing values"
    return None


def _check_y(y: Any, examples: Examples) -> tuple[str, str] | None:
    task, names = examples.task, list(examples.class_names)
    if task == "multiclass":
        expected = f"a tensor of int64 class indices (N,), less than the number of class_names, {len(names)}"
        fits = isinstance(y, Tensor) and y.dim() == 1 and y.dtype == torch.int64
    else:
        outputs = {"binary": "1", "multilabel": "labels", "regression": "outputs"}[task]
        numbers = f"up to {LARGEST:g}" if task == "regression" else "0 and 1"
        expected = f"a tensor of floating point numbers (N, {outputs}), {numbers}, for task={task}"
        fits = isinstance(y, Tensor) and y.dim() == 2 and y.shape[1] > 0 and y.is_floating_point()
        fits = fits and (task != "binary" or y.shape[1] == 1)
    if not fits:
        return f"y as {_described(y)}", expected
    if task == "multiclass":
        invalid = (y < 0) | (y >= len(names))
    else:
        invalid = ~(y.abs() <= min(LARGEST, torch.finfo(y.dtype).max)) if task == "regression" else (y != 0) & (y != 1)
    if invalid.any():
        row = invalid.nonzero()[0].tolist()
        return f"{y[tuple(row)].item():g} in row {row[0]} of y", expected
    count = {"binary": 2, "multilabel": y.shape[-1]}.get(task, len(names))
    if len(names) not in (0, count) or (task == "multiclass" and len(names) < 2):
        return f"{len(names)} class_names", f"{max(count, 2)} for task={task}"
    return None


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
