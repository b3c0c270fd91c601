"""Tables with many inputs for few columns: categories stay codes in memory and are encoded when rows are read."""

from typing import Any

import torch
from torch import Tensor

from kindling.data.preprocessing.transforms import apply_transform

MAX_VALUES = 50_000_000  # inputs of a table that are computed at once: 200 MB
WIDE = 4  # inputs per column from which the raw table takes less than half the memory
aten = torch.ops.aten
READ = (aten.select.int, aten.slice.Tensor, aten.index_select.default, aten.index.Tensor)  # of rows


class Coded(Tensor):
    """The inputs (N, inputs) of a table, float32, of which each row is encoded and scaled when it is read.

    Rows that are read by an index, a slice or index_select are ordinary tensors with the values of `apply_transform`.
    Any other operation first computes all rows.

    Args:
        raw: the samples (N, columns).
        transform: from `column_transform`, with an encoding.
    """

    raw: Tensor
    transform: dict[str, Any]
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # results are plain tensors

    @staticmethod
    def __new__(cls, raw: Tensor, transform: dict[str, Any]) -> "Coded":
        shape = (len(raw), len(transform["factor"]))
        found: Coded = Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32, device=raw.device)
        found.raw, found.transform = raw, transform
        return found

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch declares it without its first argument
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        table, *others = args
        if isinstance(table, Coded) and func in READ and _is_of_rows(func, others):
            with torch.inference_mode(False):  # a selection, as a view, may not be an inference tensor
                raw = func(table.raw, *others)
                rows = apply_transform(raw.view(-1, table.raw.shape[1]), table.transform)
                return rows.view(*raw.shape[:-1], -1)
        options = kwargs or {}
        if func is aten._to_copy.default and options.get("dtype") in (None, torch.float32):
            device = torch.device(options.get("device") or table.device)
            if device.type != "mps":  # which has no float64
                return Coded(table.raw.to(device), table.transform)
        if func is aten.detach.default:
            return Coded(table.raw, table.transform)
        return func(*map(_dense, args), **options)


def inputs(x: Tensor, transform: dict[str, Any]) -> Tensor:
    """Return the scaled inputs (N, inputs) of raw samples (N, columns), as `Coded` if they would take much memory."""
    width = len(transform["factor"])
    is_wide = "encoding" in transform and transform["features"] == "none" and width >= WIDE * x.shape[1]
    return Coded(x, transform) if is_wide and len(x) * width > MAX_VALUES else apply_transform(x, transform)


def _is_of_rows(func: Any, others: list[Any]) -> bool:
    """Return whether an operation of READ selects along the first dimension alone."""
    return len(others[0]) == 1 if func is aten.index.Tensor else not others or others[0] == 0


def _dense(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_dense, value))
    return apply_transform(value.raw, value.transform) if isinstance(value, Coded) else value
