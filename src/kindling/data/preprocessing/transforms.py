"""Transformation of raw samples to the inputs of a model: features, imputation of missing values, and scaling."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.preprocessing.encoding import encode, encoded_columns, input_kinds
from kindling.data.preprocessing.features import add_features, feature_names
from kindling.data.preprocessing.scaling import SCALES, is_constant, standard

log = logging.getLogger("kindling")
LIMIT = 1e18  # of scaled inputs; its square is a finite float32
SMOOTH_CLIP = 3.0  # bound of inputs scaled with scale=robust: x / sqrt(1 + (x / 3)^2)
BLOCK = 65_536  # samples that are transformed at a time
MAX_ROUNDING = 1e-3  # largest rounding error of float32 targets, relative to their range


def column_transform(
    x: Tensor,
    scale: str,
    features: str = "none",
    degree: int = 2,
    names: list[str] | tuple[str, ...] = (),
    encoding: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the transform of the inputs, with fill value, shift and factor of each feature, or one each for images.

    The factor of a constant feature is 0, so that other values in new data have no effect; with scale=none all are 1.

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
        return _image_transform(x, scale, features, degree)
    if encoding and features == "none":
        fill, shift, factor = _fit_columns(x, scale, encoding)
        constant = [f == 0 and kind != "date" for f, kind in zip(factor, input_kinds(encoding), strict=True)]
    else:
        columns = add_features(encode(x, encoding) if encoding else x.double(), features, degree).flatten(1)
        _reject_empty(columns, names, features, degree)
        fill = columns.nanmean(0)
        shift, factor = SCALES[scale](torch.where(columns.isnan(), fill, columns), x.dtype)
        constant = (factor == 0).tolist()
    if any(constant):
        which = _named(names, features, degree, indices=[i for i, found in enumerate(constant) if found])
        log.info(f"{which}: constant in the training samples, so without effect")
    kept = {"features": features, "degree": degree, **({"encoding": encoding} if encoding else {})}
    kept |= {"smooth_clip": SMOOTH_CLIP} if scale == "robust" else {}
    return {**kept, "fill": fill.tolist(), "shift": shift.tolist(), "factor": factor.tolist()}


def _reject_empty(columns: Tensor, names: list[str] | tuple[str, ...], features: str, degree: int) -> None:
    if empty := columns.isnan().all(0).nonzero().flatten().tolist():
        which = _named(names, features, degree, indices=empty)
        raise UserError(f"{which} has no value in any training sample: exclude it.")


def _image_transform(x: Tensor, scale: str, features: str, degree: int) -> dict[str, Any]:
    """Return the transform of images, with one shift and factor for all pixels."""
    add_features(x, features, degree)  # raises UserError
    if scale == "robust":
        raise UserError("scale=robust only works with tables, but this data has images: remove it.")
    mean, spread = {"none": (0.0, 1.0), "minmax": (0.0, 255.0)}.get(scale) or _byte_statistics(x)
    if not spread:
        log.info("all pixels of all images: constant in the training samples, so without effect")
    return {"fill": [0.0], "shift": [mean], "factor": [1 / spread if spread else 0.0]}


def _fit_columns(x: Tensor, scale: str, encoding: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return fill value, shift and factor of the inputs that encode x; marks are only scaled with scale=robust.

    One column at a time, because the inputs of categories take much memory.
    """
    parts = []
    for i, column in enumerate(encoding):
        kinds = input_kinds([column])
        scaled = torch.tensor([scale == "robust" or kind != "code" for kind in kinds])
        shift, factor = torch.zeros(len(kinds), dtype=torch.float64), torch.ones(len(kinds), dtype=torch.float64)
        if scaled.any():
            shift[scaled], factor[scaled] = SCALES[scale](encode(x[:, i : i + 1], [column])[:, scaled], x.dtype)
        parts.append((torch.zeros_like(shift), shift, factor))
    fill, shift, factor = (torch.cat(numbers) for numbers in zip(*parts, strict=True))
    return fill, shift, factor


def apply_transform(x: Tensor, transform: dict[str, Any]) -> Tensor:
    """Return scaled float32 inputs (N, *input_shape) for raw samples (N, columns) or images."""
    if len(x) <= BLOCK:
        return transform_block(x, transform)
    first = transform_block(x[:BLOCK], transform)
    scaled = first.new_empty(len(x), *first.shape[1:])
    for start in range(0, len(x), BLOCK):
        scaled[start : start + BLOCK] = transform_block(x[start : start + BLOCK], transform)
    return scaled


def transform_block(x: Tensor, transform: dict[str, Any]) -> Tensor:
    """Return what `apply_transform` does, for few samples."""
    encoding, features = transform.get("encoding"), transform.get("features", "none")
    if encoding and features == "none":  # scales the inputs of each category once, not those of each sample
        parts, start = [], 0
        for inputs, codes in encoded_columns(x, encoding):
            scaled = _scaled(inputs, transform, slice(start, start + inputs.shape[1]))
            parts.append(scaled if codes is None else scaled[codes])
            start += inputs.shape[1]
        return torch.cat(parts, 1)
    found = add_features(encode(x, encoding) if encoding else x.double(), features, transform.get("degree", 1))
    return _scaled(found.flatten(1), transform).view_as(found)


def _scaled(columns: Tensor, transform: dict[str, Any], part: slice = slice(None)) -> Tensor:
    """Return scaled float32 inputs for those (N, inputs) that have the fill values, shifts and factors of `part`."""
    fill, shift, factor = (
        torch.tensor(transform[key][part], dtype=torch.float64, device=columns.device)
        for key in ("fill", "shift", "factor")
    )
    scaled = (torch.where(columns.isnan(), fill, columns) - shift) * factor
    if clip := transform.get("smooth_clip"):
        scaled = scaled / (1 + (scaled / clip) ** 2).sqrt()
    return scaled.clamp(-LIMIT, LIMIT).float()


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
        log.info(("one of the targets" if y.shape[1] > 1 else "the target") + " is constant in the training samples")
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


def target_scaling(transform: dict[str, Any], width: int = 1) -> tuple[Tensor, Tensor]:
    """Return factor and shift, float64, that convert scaled targets back to their unit, or `width` predictions.

    There are more predictions than targets if they are several quantiles of each.
    """
    std, shift = transform.get("target_std", [1.0]), transform.get("target_shift", [0.0])
    repeated = max(1, width // len(std))
    return torch.tensor(std * repeated, dtype=torch.float64), torch.tensor(shift * repeated, dtype=torch.float64)
