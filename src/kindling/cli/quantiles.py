"""Checks of `quantiles`, without torch."""

from itertools import pairwise
from typing import Any

from kindling import UserError

EXAMPLE = "quantiles=[0.1,0.5,0.9]"


def check_quantiles(quantiles: Any, loss: Any) -> None:
    """Check the options `quantiles` and `loss`, which need each other.

    Raises:
        UserError: one is missing or invalid.
    """
    if quantiles is None:
        if loss == "quantile":
            raise UserError(f"loss=quantile needs the quantiles to predict, e.g. {EXAMPLE}.")
        return
    if not is_valid(quantiles):
        raise UserError(
            f"quantiles={quantiles} is invalid: it must be null or an increasing list of numbers between 0 and 1 that "
            f"contains 0.5, the median, e.g. {EXAMPLE}."
        )
    if loss != "quantile":
        raise UserError(f"quantiles={quantiles} needs loss=quantile: add it, or remove quantiles.")


def is_valid(quantiles: Any) -> bool:
    """Return whether this is an increasing list of numbers between 0 and 1 that contains 0.5."""
    if not isinstance(quantiles, list) or not all(isinstance(q, float) and 0 < q < 1 for q in quantiles):
        return False
    return 0.5 in quantiles and all(low < high for low, high in pairwise(quantiles))
