"""Encoding of the columns of a table as numbers without gaps, fitted to the training samples and kept as plain data.

Follows the preprocessing of RealMLP-TD-S (Holzmueller et al. 2024, arXiv 2407.04491): a category of two values becomes
one input of -1 and 1, other categories one input per value, and a missing or unknown value is 0 everywhere. If the
rarest values of a category share an input, its unknown values share it, too.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.cells import cut
from kindling.data.examples import Column, Examples
from kindling.data.preprocessing.date_features import FEATURES, date_features

log = logging.getLogger("kindling")


def check_encoding(missing_indicator: Any, max_categories: Any) -> None:
    """Check the options of the encoding.

    Raises:
        UserError: one is invalid.
    """
    if missing_indicator not in ("auto", False):
        raise UserError(f"data.missing_indicator={missing_indicator} is invalid: choose auto or false.")
    if not isinstance(max_categories, int) or max_categories < 2:
        raise UserError(f"data.max_categories={max_categories} is invalid: it must be an integer of at least 2.")


def fit_encoding(
    x: Tensor, names: list[str], kinds: dict[str, Column], missing_indicator: bool, max_categories: int
) -> list[dict[str, Any]]:
    """Return the encoding of each column.

    Args:
        x: raw training samples (N, columns), NaN where missing; codes of categories, days of dates.
        names: names of the columns.
        kinds: those that are not numbers.
        missing_indicator: fill missing numbers with the median instead of the mean, and mark them in a second input if
            the training samples have some.
        max_categories: largest number of inputs of a category; the rarest values share the last one.
    """
    encoding = []
    for i, name in enumerate(names):
        column = kinds.get(name)
        if column is None or column.kind == "date":
            encoding.append(_fit_number(x[:, i], name, column, missing_indicator))
        else:
            encoding.append(_fit_category(x[:, i], name, column, max_categories))
    return encoding


def encoding_of(examples: Examples, x: Tensor, missing_indicator: bool, max_categories: int) -> list[dict[str, Any]]:
    """Return the encoding of each column of a table; empty if the columns are used as they are.

    Args:
        examples: the data set, with the names and kinds of the columns.
        x, missing_indicator, max_categories: see `fit_encoding`.
    """
    if not x.is_floating_point() or x.dim() != 2 or not (examples.kinds or missing_indicator):
        return []
    names = examples.columns or [f"x{i}" for i in range(x.shape[1])]
    return fit_encoding(x, names, examples.kinds, missing_indicator, max_categories)


def encode(x: Tensor, encoding: Sequence[dict[str, Any]]) -> Tensor:
    """Return the inputs (N, inputs), float64, of raw samples (N, columns)."""
    return torch.cat([inputs if codes is None else inputs[codes] for inputs, codes in encoded_columns(x, encoding)], 1)


def encoded_columns(x: Tensor, encoding: Sequence[dict[str, Any]]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield for each column its inputs (N, inputs) and None; for a category the inputs of each code, and codes (N,)."""
    for i, column in enumerate(encoding):
        yield (_encode_category if "kept" in column else _encode_number)(x[:, i].double(), column)


def compact(encoding: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the encoding for new data: categories without the values that have no input of their own."""
    return [
        {**column, "values": [column["values"][code] for code in column["kept"]], "kept": [*range(len(column["kept"]))]}
        if "kept" in column
        else column
        for column in encoding
    ]


def kinds_of(encoding: list[dict[str, Any]]) -> dict[str, Column]:
    """Return the columns that are not numbers, by name."""
    fields = ("kind", "values", "format", "pooled", "is_numeric")
    return {
        column["name"]: Column(**{field: column[field] for field in fields if field in column})
        for column in encoding
        if column["kind"] != "number"
    }


def input_names(encoding: list[dict[str, Any]]) -> list[str]:
    """Return the names of the inputs, e.g. "age", "age missing", "town=Rome", "joined year"."""
    names = []
    for column in encoding:
        name = column["name"]
        if column["kind"] == "date":
            names += [f"{name} {feature}" for feature in FEATURES]
        elif column["kind"] == "number":
            names.append(name)
        else:
            values = [cut(column["values"][code]) for code in column["kept"]]
            names += [f"{name}={value}" for value in (values[1:] if _is_pair(column) else values)]
            names += [f"{name}=other"] if column["pooled"] else []
        names += [f"{name} missing"] if column.get("indicator") else []
    return names


def is_code(encoding: list[dict[str, Any]]) -> list[bool]:
    """Return whether each input marks a category or a missing value; these are not scaled."""
    return [kind == "code" for kind in input_kinds(encoding)]


def input_kinds(encoding: Sequence[dict[str, Any]]) -> list[str]:
    """Return the kind of each input: "number", "date" for a part of a date, or "code" for a mark."""
    kinds: list[str] = []
    for column in encoding:
        kind = column["kind"]
        width = {"number": 1, "date": len(FEATURES)}.get(kind)
        kinds += ["code"] * _width(column) if width is None else [kind] * width + ["code"] * column["indicator"]
    return kinds


def _fit_number(x: Tensor, name: str, column: Column | None, missing_indicator: bool) -> dict[str, Any]:
    present = x[~x.isnan()]
    middle = np.median if missing_indicator else np.mean
    fill = float(middle(present.numpy())) if len(present) else 0.0
    indicator = missing_indicator and len(present) < len(x)
    common = {"name": name, "fill": fill, "indicator": indicator}
    if column is None:
        return {"kind": "number", **common}
    first = float(present.min()) if len(present) else 0.0
    return {"kind": "date", **common, "format": column.format, "first": first}


def _fit_category(x: Tensor, name: str, column: Column, max_categories: int) -> dict[str, Any]:
    counts = torch.bincount(x[x >= 0].long(), minlength=len(column.values))
    found = [code for code in counts.argsort(descending=True, stable=True).tolist() if counts[code]]
    pooled = found[max_categories - 1 :] if len(found) > max_categories else []
    if pooled:
        log.info(
            f"column {name!r} has {len(found)} values in the training samples: the {len(pooled)} rarest share one "
            f"input (data.max_categories={max_categories})"
        )
    kept = sorted(found[: max_categories - 1] if pooled else found) or [0]  # without a value, an input of zeros
    return {
        "kind": column.kind,
        "name": name,
        "values": column.values,
        "kept": kept,
        "pooled": bool(pooled),
        "is_numeric": column.is_numeric,
    }


def _encode_number(x: Tensor, column: dict[str, Any]) -> tuple[Tensor, None]:
    missing = x.isnan()
    filled = torch.where(missing, column["fill"], x)
    inputs = date_features(filled, column["first"]) if column["kind"] == "date" else filled[:, None]
    return torch.cat([inputs, missing.double()[:, None]], 1) if column["indicator"] else inputs, None


def _encode_category(x: Tensor, column: dict[str, Any]) -> tuple[Tensor, Tensor]:
    kept, width, unknown = column["kept"], _width(column), len(column["values"])
    codes = torch.where(x >= 0, x, unknown).where(~x.isnan(), unknown + 1).long()
    table = torch.zeros(unknown + 2, width, dtype=torch.float64, device=x.device)  # one row per code
    if _is_pair(column):
        table[kept, 0] = torch.tensor([-1.0, 1.0], dtype=torch.float64, device=x.device)
    else:
        if column["pooled"]:
            table[: unknown + 1, -1] = 1.0
            table[kept, -1] = 0.0
        table[kept, range(len(kept))] = 1.0
    return table, codes


def _is_pair(column: dict[str, Any]) -> bool:
    return len(column["kept"]) == 2 and not column["pooled"]


def _width(column: dict[str, Any]) -> int:
    return 1 if _is_pair(column) else len(column["kept"]) + bool(column["pooled"])
