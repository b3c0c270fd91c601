"""From raw rows to what a net is given: features, missing values filled, scaled by the training rows' statistics."""

import logging

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.features import add_features, feature_names

log = logging.getLogger("kindling")
ROUNDING = 512  # machine epsilons, relative to the largest value, by which a constant column may vary
DIGITS = 1e-3  # of a target's range; float32 must not round by more


def column_transform(
    x: Tensor, scale: str, features: str = "none", degree: int = 2, names: list[str] | tuple = ()
) -> dict:
    """Return features, and fill, shift and factor of each, from the train rows x; of images one of each for all pixels.

    The factor of what is constant is 0, so that it stays harmless where it is not: with scale=none all are 1.

    Raises:
        UserError: a column of these names has no value at all, or the features cannot be computed.
    """
    if x.dtype == torch.uint8:
        add_features(x, features, degree)  # refuses
        shift, spread = {"none": (0.0, 1.0), "minmax": (0.0, 255.0)}.get(scale) or _byte_statistics(x)
        if not spread:
            log.info("constant in the training rows, so without effect: all pixels of all images")
        return {"fill": [0.0], "shift": [shift], "factor": [1 / spread if spread else 0.0]}
    columns = add_features(x.double(), features, degree).flatten(1)
    empty = columns.isnan().all(0).nonzero().flatten().tolist()
    if empty:
        raise UserError(
            f"{_named(names, features, degree, places=empty)} has no value in any training row: leave it out."
        )
    fill = columns.nanmean(0)
    columns = torch.where(columns.isnan(), fill, columns)
    if scale == "none":
        shift, factor = torch.zeros_like(fill), torch.ones_like(fill)
    else:
        shift, factor = minmax(columns, x.dtype) if scale == "minmax" else standard(columns, x.dtype)
    if constant := (factor == 0).nonzero().flatten().tolist():
        which = _named(names, features, degree, places=constant)
        log.info(f"constant in the training rows, so without effect: {which}")
    kept = {"features": features, "degree": degree}
    return {**kept, "fill": fill.tolist(), "shift": shift.tolist(), "factor": factor.tolist()}


def standard(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the mean of each column of x (N, columns), and 1 / standard deviation, or 0 where it is constant.

    Args:
        dtype: of the values before they were made float64.
    """
    varies, first = ~is_constant(x, dtype), x[0]
    x = x - first  # near a huge offset the sum of the values themselves would lose digits
    return torch.where(varies, first + x.mean(0), first), torch.where(varies, 1 / x.std(0, correction=0), 0.0)


def minmax(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the least value of each column of x (N, columns), and 1 / range, or 0 where it is constant."""
    low, high = x.aminmax(dim=0)
    return low, torch.where(is_constant(x, dtype), 0.0, 1 / (high - low))


def is_constant(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Whether each column of x (N, columns), finite float64, is the same number in all rows up to rounding."""
    low, high = x.aminmax(dim=0)
    epsilon = min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    rounding = ROUNDING * epsilon * torch.maximum(low.abs(), high.abs())
    whole = (x % 1 == 0).all(0)  # exact, at however large an offset
    return (high == low) | ((high - low <= rounding) & ~whole)


def apply_transform(x: Tensor, transform: dict) -> Tensor:
    """Return scaled float32 rows (N, *input_shape) from raw ones, (N, columns) or images."""
    kind = {"dtype": torch.float64, "device": x.device}
    fill, shift, factor = (torch.tensor(transform[key], **kind) for key in ("fill", "shift", "factor"))
    features = add_features(x.double(), transform.get("features", "none"), transform.get("degree", 1))
    columns = features.flatten(1)
    return ((torch.where(columns.isnan(), fill, columns) - shift) * factor).float().view_as(features)


def _named(names: list[str] | tuple, features: str, degree: int, places: list[int]) -> str:
    """The columns or features at `places`, the first ones of many, for a message."""
    known = feature_names(list(names), features, degree) if names else []
    shown = ", ".join(repr(known[i]) if known else str(i) for i in places[:10])
    more = f" and {len(places) - 10} more" if len(places) > 10 else ""
    return f"column{'s' * (len(places) > 1)} {shown}{more}{'' if known else ' (counted from 0)'}"


def _byte_statistics(x: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of all bytes, from their counts: exact, and no float copy of the images."""
    counts = torch.bincount(x.flatten(), minlength=256)
    share, values = counts.double() / x.numel(), torch.arange(256, dtype=torch.float64)
    if (counts > 0).sum() == 1:
        return counts.argmax().item(), 0.0
    mean = (share * values).sum()
    return mean.item(), (share * (values - mean) ** 2).sum().sqrt().item()


def target_statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (num_outputs,); 1 for a constant target."""
    mean, factor = standard(y.double(), y.dtype)  # of a large offset float32 keeps too few digits
    return mean, torch.where(factor > 0, 1 / factor, 1.0)


def rounded_target(y: Tensor) -> Tensor:
    """Return targets (N, num_outputs) as float32, or as they are where that would lose digits in which they differ.

    Where one training target is 1e12, the others are scaled to numbers that differ from the 11th digit on.
    """
    near = y.float()
    if not len(y):
        return near
    low, high = y.aminmax(dim=0)
    lost = (near - y).abs().amax(0) > DIGITS * (high - low)
    return y if (lost & (high > low)).any() else near


def target_scaling(transform: dict) -> tuple[Tensor, Tensor]:
    """Return the factor and the shift (num_outputs,), float64, that lead from scaled targets to their own unit."""
    std, shift = transform.get("target_std", [1.0]), transform.get("target_shift", [0.0])
    return torch.tensor(std, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64)
