"""Features computed from the columns of a table before scaling, which replace the columns."""

from collections import Counter
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor

from kindling import UserError

MAX_FEATURES = 10_000


def add_features(x: Tensor, features: str, degree: int) -> Tensor:
    """Compute features of raw samples; those that depend on a missing value are missing too.

    Args:
        x: (N, columns).
        features: "none"; "radius", the Euclidean norm of a sample; "product", of each pair of columns; "polynomial",
            all products of up to `degree` columns with repetition, in scikit-learn's order without the constant.
        degree: of the polynomial features.

    Returns:
        (N, columns), (N, 1), (N, columns * (columns - 1) / 2), or (N, binomial(columns + degree, degree) - 1).

    Raises:
        UserError: the samples are images, or there would be no or more than MAX_FEATURES features.
    """
    if features == "none":
        return x
    if x.dim() != 2:
        raise UserError(f"features={features} only works with tables, but this data has images: remove it.")
    if features == "radius":
        return x.norm(dim=1, keepdim=True)
    terms = _terms(x.shape[1], features, degree)
    if not 0 < len(terms) <= MAX_FEATURES:
        count = f"more than {MAX_FEATURES}" if terms else "no"
        raise UserError(
            f"features={features} would give {count} features from {x.shape[1]} columns: lower degree, or remove it."
        )
    return torch.stack([x[:, list(term)].prod(1) for term in terms], 1)


def feature_names(columns: list[str], features: str, degree: int) -> list[str]:
    """Return the names of the features of `add_features`, in order, e.g. "radius", "x y", "x^3"."""
    if features == "none":
        return list(columns)
    if features == "radius":
        return ["radius"]
    counts = [Counter(term) for term in _terms(len(columns), features, degree)]
    return [" ".join(columns[i] + (f"^{n}" if n > 1 else "") for i, n in count.items()) for count in counts]


def _terms(columns: int, features: str, degree: int) -> list[tuple[int, ...]]:
    """Return the indices of the columns that are multiplied; stops soon after MAX_FEATURES terms."""
    if features == "product":
        return list(combinations(range(columns), 2))
    terms: list[tuple[int, ...]] = []
    for order in range(1, degree + 1):
        terms += list(combinations_with_replacement(range(columns), order)) if len(terms) <= MAX_FEATURES else []
    return terms
