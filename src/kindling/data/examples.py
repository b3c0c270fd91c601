"""What `load` of a data set returns, and the check of it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kindling import UserError
from kindling.tasks.tasks import TASKS

LARGEST = 1e150  # whose square is a finite float64
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass
class Examples:
    """What `load` returns.

    x: (N, *input_shape), float with NaN for a missing value, or uint8 for images.
    y: (N,) class indices for multiclass, else (N, num_outputs) float.
    test: x and y of the set's own test rows; without them a share of the rows is split off.
    shift: pixels by which training images are moved at random.
    """

    x: Tensor
    y: Tensor
    task: str
    class_names: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    test: tuple[Tensor, Tensor] | None = None
    shift: int = 0


def check_examples(examples: Examples, name: str) -> None:
    """Refuse what the split, the scaling and the task's metrics cannot work with.

    Args:
        examples: what `load` of a data set returned.
        name: of its class.

    Raises:
        UserError: with what was found, what is wanted, and the way to any other data.
    """

    def refuse(found: str, wanted: str) -> None:
        raise UserError(
            f"{name}.load() returned {found}; wanted is {wanted}. For data of another form, such as several inputs, "
            "inputs of different lengths or weights of samples, write an ordinary LightningDataModule: see README.md, "
            "Your table, your model."
        )

    if not isinstance(examples, Examples):
        refuse(_described(examples), "kindling.data.examples.Examples(x, y, task, ...)")
    if not isinstance(examples.task, str) or examples.task not in TASKS:
        refuse(f"as task {_described(examples.task)}", f"one of {', '.join(TASKS)}")
    pairs = {"": (examples.x, examples.y)}
    if examples.test is not None:
        if not isinstance(examples.test, tuple | list) or len(examples.test) != 2:
            refuse(f"as test {_described(examples.test)}", "a pair of x and y")
        pairs["test "] = examples.test
    for part, (x, y) in pairs.items():
        found, wanted = _wrong_x(x) or _wrong_y(y, examples) or (None, None)
        if found:
            refuse(part + found, wanted)
        if len(x) != len(y):
            refuse(f"{part}x of {len(x)} rows and {part}y of {len(y)}", "a y for each row of x")
        if (x.shape[1:], x.is_floating_point()) != (examples.x.shape[1:], examples.x.is_floating_point()):
            refuse(f"{part}x as {_described(x)} and x as {_described(examples.x)}", "rows of the same kind in both")
    if examples.columns and (examples.x.dim() != 2 or len(examples.columns) != examples.x.shape[1]):
        refuse(f"{len(examples.columns)} names of columns and x as {_described(examples.x)}", "a name for each column")


def _wrong_x(x) -> tuple[str, str] | None:
    wanted = (
        "a tensor of floating point numbers (N, columns) or (N, *input_shape), or of uint8 (N, channels, height, width)"
    )
    if not isinstance(x, Tensor) or x.layout != torch.strided:
        return f"x as {_described(x)}", wanted
    if x.dim() < 2 or not x.numel() or not (x.is_floating_point() or (x.dtype == torch.uint8 and x.dim() == 4)):
        hint = "; x.float() makes numbers of them" if x.dim() > 1 and x.dtype in INTEGERS else ""
        return f"x as {_described(x)}", wanted + hint
    large = x.abs() > min(LARGEST, torch.finfo(x.dtype).max) if x.is_floating_point() else torch.zeros(1)
    if large.any():
        row, *place = large.nonzero()[0].tolist()
        value = x[(row, *place)].item()
        return f"{value:g} in row {row} of x, at {place}", f"numbers up to {LARGEST:g}, and NaN for a missing one"
    return None


def _wrong_y(y, examples: Examples) -> tuple[str, str] | None:
    task, names = examples.task, list(examples.class_names)
    if task == "multiclass":
        wanted = f"a tensor of int64 class indices (N,), from 0 to under the number of class_names, {len(names)}"
        fits = isinstance(y, Tensor) and y.dim() == 1 and y.dtype == torch.int64
    else:
        outputs = {"binary": "1", "multilabel": "labels", "regression": "outputs"}[task]
        numbers = f"up to {LARGEST:g}" if task == "regression" else "0 and 1"
        wanted = f"a tensor of floating point numbers (N, {outputs}), {numbers}, for task={task}"
        fits = isinstance(y, Tensor) and y.dim() == 2 and y.shape[1] > 0 and y.is_floating_point()
        fits = fits and (task != "binary" or y.shape[1] == 1)
    if not fits:
        return f"y as {_described(y)}", wanted
    if task == "multiclass":
        odd = (y < 0) | (y >= len(names))
    else:
        odd = ~(y.abs() <= min(LARGEST, torch.finfo(y.dtype).max)) if task == "regression" else (y != 0) & (y != 1)
    if odd.any():
        row = odd.nonzero()[0].tolist()
        return f"{y[tuple(row)].item():g} in row {row[0]} of y", wanted
    count = {"binary": 2, "multilabel": y.shape[-1]}.get(task, len(names))
    if len(names) not in (0, count) or (task == "multiclass" and len(names) < 2):
        return f"{len(names)} class_names", f"{max(count, 2)} for task={task}"
    return None


def _described(value) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
