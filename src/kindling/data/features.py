"""Inputs computed from a table's columns, before scaling. They replace the columns."""

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
    columns = range(x.shape[1])
    if features == "product":
        terms = list(combinations(columns, 2))
    else:
        terms = []
        for order in range(1, degree + 1):
            terms += list(combinations_with_replacement(columns, order)) if len(terms) <= MOST else []
    if not 0 < len(terms) <= MOST:
        count = f"over {MOST}" if terms else "no"
        raise UserError(
            f"features={features} would make {count} columns of {x.shape[1]}: lower degree, or leave it out."
        )
    return torch.stack([x[:, list(term)].prod(1) for term in terms], 1)
