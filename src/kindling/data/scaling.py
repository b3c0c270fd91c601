"""From raw rows to what a net is given: features, missing values filled, scaled by the training rows' statistics."""

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.features import add_features


def column_transform(x: Tensor, scale: str, features: str = "none", degree: int = 2) -> dict:
    """Features, and fill, shift and factor of each, from the train rows x; of images one of each for all pixels.

    Raises:
        UserError: a column has no value at all, or the features cannot be computed.
    """
    if x.dtype == torch.uint8:
        add_features(x, features, degree)  # refuses
        shift, spread = {"none": (0.0, 1.0), "minmax": (0.0, 255.0)}.get(scale) or _byte_statistics(x)
        return {"fill": [0.0], "shift": [shift], "factor": [1 / spread]}
    columns = add_features(x.double(), features, degree).flatten(1)
    empty = columns.isnan().all(0).nonzero().flatten().tolist()
    if empty:
        raise UserError(f"Column {empty[0]} (counted from 0) has no value in any train row: leave it out.")
    fill = columns.nanmean(0)
    columns = torch.where(columns.isnan(), fill, columns)
    if scale == "none":
        shift, spread = torch.zeros_like(fill), torch.ones_like(fill)
    elif scale == "minmax":
        shift, spread = columns.amin(0), columns.amax(0) - columns.amin(0)
    else:
        shift, spread = fill, columns.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)  # a constant column becomes 0
    kept = {"features": features, "degree": degree}
    return {**kept, "fill": fill.tolist(), "shift": shift.tolist(), "factor": (1 / spread).tolist()}


def apply_transform(x: Tensor, transform: dict) -> Tensor:
    """Scaled float32 rows (N, *input_shape) from raw ones, (N, columns) or images."""
    kind = {"dtype": torch.float64, "device": x.device}
    fill, shift, factor = (torch.tensor(transform[key], **kind) for key in ("fill", "shift", "factor"))
    features = add_features(x.double(), transform.get("features", "none"), transform.get("degree", 1))
    columns = features.flatten(1)
    return ((torch.where(columns.isnan(), fill, columns) - shift) * factor).float().view_as(features)


def _byte_statistics(x: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of all bytes, from their counts: exact, and no float copy of the images."""
    share = torch.bincount(x.flatten(), minlength=256).double() / x.numel()
    values = torch.arange(256, dtype=torch.float64)
    mean = (share * values).sum()
    return mean.item(), (share * (values - mean) ** 2).sum().sqrt().item()


def target_statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (num_outputs,); 1 for a constant target."""
    y = y.double()  # of a large offset float32 keeps too few digits
    std = y.std(0, correction=0)
    return y.mean(0), torch.where(std > 0, std, 1.0)
