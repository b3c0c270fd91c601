"""The statistics of scaling: what is subtracted from each column, and the factor that follows."""

import numpy as np
import torch
from torch import Tensor

ROUNDING = 512  # machine epsilons, relative to the largest value, by which a constant column may vary


def standard(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the mean of each column of x (N, columns), and 1 / standard deviation, or 0 if it is constant.

    Args:
        x: float64 values.
        dtype: type of the values before the conversion to float64.
    """
    varies, first = ~is_constant(x, dtype), x[0]
    x = x - first  # the sum of values with a huge offset would lose digits
    return torch.where(varies, first + x.mean(0), first), torch.where(varies, 1 / x.std(0, correction=0), 0.0)


def minmax(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the minimum of each column of x (N, columns), and 1 / range, or 0 if it is constant."""
    low, high = x.aminmax(dim=0)
    return low, torch.where(is_constant(x, dtype), 0.0, 1 / (high - low))


def robust(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the median of each column of x (N, columns), and 1 / interquartile range, or 0 if it is constant.

    Where the quartiles are equal, half the range takes their place: Holzmueller et al. 2024, arXiv 2407.04491.
    """
    low, median, high = torch.from_numpy(np.quantile(x.numpy(), [0.25, 0.5, 0.75], axis=0))
    smallest, largest = x.aminmax(dim=0)
    spread = torch.where(high > low, high - low, (largest - smallest) / 2)
    return median, torch.where(is_constant(x, dtype), 0.0, 1 / spread)


def unscaled(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return 0 and 1 for each column of x (N, columns)."""
    return torch.zeros_like(x[0]), torch.ones_like(x[0])


SCALES = {"standard": standard, "minmax": minmax, "robust": robust, "none": unscaled}


def is_constant(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return whether each column of x (N, columns), finite float64, is constant up to rounding errors."""
    low, high = x.aminmax(dim=0)
    epsilon = min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    rounding = ROUNDING * epsilon * torch.maximum(low.abs(), high.abs())
    is_integer = (x % 1 == 0).all(0)  # exact, however large the offset
    return (high == low) | ((high - low <= rounding) & ~is_integer)
