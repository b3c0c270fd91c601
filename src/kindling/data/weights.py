"""Weights of the samples in the losses of training and validation."""

from typing import Any

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.examples import Examples


def sample_weights(examples: Examples, indices: dict[str, Tensor], balance: Any) -> dict[str, Tensor]:
    """Return the weights of the training and validation samples, each with a mean of 1; empty if all are equal.

    Args:
        examples: the samples; their own weights, if any, are multiplied by those of the classes.
        indices: stage -> indices of its samples.
        balance: weight each class inversely to its number of training samples, like scikit-learn's
            class_weight="balanced".

    Raises:
        UserError: `balance` is not a boolean, or the samples do not have one class each; or all weights are 0.
    """
    if not isinstance(balance, bool):
        raise UserError(f"data.balance={balance} is invalid: choose true or false.")
    if examples.weights is None and not balance:
        return {}
    weights = torch.ones(len(examples.y), dtype=torch.float64) if examples.weights is None else examples.weights
    if balance:
        if examples.task not in ("binary", "multiclass"):
            raise UserError(
                f"data.balance=true needs samples with one class each, but this is task={examples.task}: remove it."
            )
        classes = examples.y.flatten().long()
        counts = torch.bincount(classes[indices["train"]], minlength=int(classes.max()) + 1)
        weights = weights / counts[classes].clamp(min=1)
    found = {stage: weights[indices[stage]].double() for stage in ("train", "val")}
    for stage, name in (("train", "training"), ("val", "validation")):
        if len(found[stage]) and not found[stage].any():
            raise UserError(f"all {name} samples have the weight 0 in data.weight: give some of them a positive one.")
    return {stage: (part / part.mean()).float() for stage, part in found.items()}
