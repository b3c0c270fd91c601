"""Inputs computed from a table's columns, before scaling. They replace the columns."""

from collections import Counter
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor

from kindling import UserError

MOST = 10_000  # columns; a weight and a value of every row for each


def add_features(x: Tensor, features: str, degree: int) -> Tensor:
    """Features of raw rows; a missing cell makes all that is computed from it missing.

    Args:
        x: (N, columns).
        features: "none"; "radius", the Euclidean length of the row; "product", of each pair of columns; "polynomial",
            all products of up to `degree` columns, with repetition, in scikit-learn's order without the constant.

    Returns:
        (N, columns), (N, 1), (N, columns * (columns - 1) / 2), or (N, binomial(columns + degree, degree) - 1).

    Raises:
        UserError: the rows are images, or there would be none or more than MOST features.
    """
    if features == "none":
        return x
    if x.dim() != 2:
        raise UserError(f"features={features} is for tables, this data has images: leave it out.")
    if features == "radius":
        return x.norm(dim=1, keepdim=True)
    terms = _terms(x.shape[1], features, degree)
    if not 0 < len(terms) <= MOST:
        count = f"over {MOST}" if terms else "no"
        raise UserError(
            f"features={features} would make {count} columns of {x.shape[1]}: lower degree, or leave it out."
        )
    return torch.stack([x[:, list(term)].prod(1) for term in terms], 1)


def feature_names(columns: list[str], features: str, degree: int) -> list[str]:
    """Of what `add_features` returns, in its order: "radius", "x y", "x^3"."""
    if features == "none":
        return list(columns)
    if features == "radius":
        return ["radius"]
    counts = [Counter(term) for term in _terms(len(columns), features, degree)]
    return [" ".join(columns[i] + (f"^{n}" if n > 1 else "") for i, n in count.items()) for count in counts]


def _terms(columns: int, features: str, degree: int) -> list[tuple[int, ...]]:
    """Which columns are multiplied; somewhat more than MOST where there would be more."""
    if features == "product":
        return list(combinations(range(columns), 2))
    terms = []
    for order in range(1, degree + 1):
        terms += list(combinations_with_replacement(range(columns), order)) if len(terms) <= MOST else []
    return terms
