"""Transformation of raw samples to the inputs of a model: features, imputation of missing values, and scaling."""

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.encoding import encode, input_kinds, is_code
from kindling.data.features import add_features, feature_names

log = logging.getLogger("kindling")
LIMIT = 1e18  # of scaled inputs; its square is a finite float32
SMOOTH_CLIP = 3.0  # bound of inputs scaled with scale=robust: x / sqrt(1 + (x / 3)^2)
ROUNDING = 512  # machine epsilons, relative to the largest value, by which a constant column may vary
MAX_ROUNDING = 1e-3  # largest rounding error of float32 targets, relative to their range


def column_transform(
    x: Tensor,
    scale: str,
    features: str = "none",
    degree: int = 2,
    names: list[str] | tuple[str, ...] = (),
    encoding: list[dict[str, Any]] | tuple[()] = (),
) -> dict[str, Any]:
    """Return the transform of the inputs, with fill value, shift and factor of each feature, or one each for images.

    The factor of a constant feature is 0, so that other values of it in new data have no effect; with scale=none all
    factors are 1.

    Args:
        x: inputs of the training samples.
        scale: "standard", "minmax", "robust" or "none".
        features: see `add_features`.
        degree: of the polynomial features.
        names: names of the columns, or of the inputs that they are encoded as, for messages.
        encoding: of the columns, from `fit_encoding`.

    Raises:
        UserError: a column has no values, or the features cannot be computed.
    """
    if x.dtype == torch.uint8:
        add_features(x, features, degree)  # raises UserError
        if scale == "robust":
            raise UserError("scale=robust only works with tables, but this data has images: remove it.")
        mean, spread = {"none": (0.0, 1.0), "minmax": (0.0, 255.0)}.get(scale) or _byte_statistics(x)
        if not spread:
            log.info("constant in the training samples, so without effect: all pixels of all images")
        return {"fill": [0.0], "shift": [mean], "factor": [1 / spread if spread else 0.0]}
    encoded = encode(x, encoding) if encoding else x.double()
    columns = add_features(encoded, features, degree).flatten(1)
    empty = columns.isnan().all(0).nonzero().flatten().tolist()
    if empty:
        which = _named(names, features, degree, indices=empty)
        raise UserError(f"{which} has no value in any training sample: exclude it.")
    fill = columns.nanmean(0)
    columns = torch.where(columns.isnan(), fill, columns)
    shift, factor = SCALES[scale](columns, x.dtype)
    if encoding and features == "none" and scale in ("standard", "minmax"):
        codes = torch.tensor(is_code(encoding))
        shift, factor = torch.where(codes, 0.0, shift), torch.where(codes, 1.0, factor)
    constant = (factor == 0).nonzero().flatten().tolist()
    if encoding and features == "none":  # that all dates are of one year needs no mention
        constant = [i for i in constant if input_kinds(encoding)[i] != "date"]
    if constant:
        which = _named(names, features, degree, indices=constant)
        log.info(f"constant in the training samples, so without effect: {which}")
    kept = {"features": features, "degree": degree} | ({"encoding": encoding} if encoding else {})
    kept |= {"smooth_clip": SMOOTH_CLIP} if scale == "robust" else {}
    return {**kept, "fill": fill.tolist(), "shift": shift.tolist(), "factor": factor.tolist()}


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


def apply_transform(x: Tensor, transform: dict[str, Any]) -> Tensor:
    """Return scaled float32 inputs (N, *input_shape) for raw samples (N, columns) or images."""
    keys = ("fill", "shift", "factor")
    fill, shift, factor = (torch.tensor(transform[key], dtype=torch.float64, device=x.device) for key in keys)
    encoding = transform.get("encoding")
    x = encode(x, encoding) if encoding else x.double()
    features = add_features(x, transform.get("features", "none"), transform.get("degree", 1))
    columns = features.flatten(1)
    scaled = (torch.where(columns.isnan(), fill, columns) - shift) * factor
    if clip := transform.get("smooth_clip"):
        scaled = scaled / (1 + (scaled / clip) ** 2).sqrt()
    return scaled.clamp(-LIMIT, LIMIT).float().view_as(features)


def _named(names: list[str] | tuple[str, ...], features: str, degree: int, indices: list[int]) -> str:
    """Describe the columns or features with the given indices for a message."""
    known = feature_names(list(names), features, degree) if names else []
    first = ", ".join(repr(known[i]) if known else str(i) for i in indices[:10])
    more = f" and {len(indices) - 10} more" if len(indices) > 10 else ""
    return f"column{'s' * (len(indices) > 1)} {first}{more}{'' if known else ' (counted from 0)'}"


def _byte_statistics(x: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of all bytes, exactly from their counts without copying the images."""
    counts = torch.bincount(x.flatten(), minlength=256)
    frequency, values = counts.double() / x.numel(), torch.arange(256, dtype=torch.float64)
    if (counts > 0).sum() == 1:
        return counts.argmax().item(), 0.0
    mean = (frequency * values).sum()
    return mean.item(), (frequency * (values - mean) ** 2).sum().sqrt().item()


def target_transform(y: Tensor, scale: str) -> dict[str, list[float]]:
    """Return the mean and the standard deviation of training targets (N, num_outputs), or nothing for "none"."""
    if is_constant(y.double(), y.dtype).any():
        log.info("constant in the training samples: the target" + " (one of several)" * (y.shape[1] > 1))
    if scale == "none":
        return {}
    mean, std = target_statistics(y)
    return {"target_shift": mean.tolist(), "target_std": std.tolist()}


def scale_targets(
    samples: dict[str, tuple[Tensor, Tensor]], transform: dict[str, Any]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the samples of each stage with scaled targets; those to train on are float32."""
    std, mean = target_scaling(transform)
    scaled = {stage: (x, rounded_target((y.double() - mean) / std)) for stage, (x, y) in samples.items()}
    x, y = scaled["train"]
    return {**scaled, "train": (x, y.float())}


def target_statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (num_outputs,); 1 for a constant target."""
    mean, factor = standard(y.double(), y.dtype)  # float32 would lose digits of values with a large offset
    return mean, torch.where(factor > 0, 1 / factor, 1.0)


def rounded_target(y: Tensor) -> Tensor:
    """Return targets (N, num_outputs) as float32, or unchanged if float32 cannot distinguish them.

    If one training target is 1e12, for example, the others are scaled to numbers that differ from the 11th digit on.
    """
    rounded = y.float()
    if not len(y):
        return rounded
    low, high = y.aminmax(dim=0)
    error = (rounded - y).abs().amax(0) > MAX_ROUNDING * (high - low)
    return y if (error & (high > low)).any() else rounded


def target_scaling(transform: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return factor and shift (num_outputs,), float64, that convert scaled targets back to their unit."""
    std, shift = transform.get("target_std", [1.0]), transform.get("target_shift", [0.0])
    return torch.tensor(std, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64)
