"""Predictions from raw inputs: probabilities, or values in the target's unit."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kindling.data.base import Data
from kindling.data.preprocessing.transforms import apply_transform, target_scaling
from kindling.models.capture import for_model
from kindling.tasks.quantiles import task_of
from kindling.tasks.tasks import Task


def predict(model: nn.Module, data: Data, raw: Tensor) -> Tensor:
    """Return probabilities, or for a regression values in the target's unit, (N, num_outputs) for raw (N, columns)."""
    return of_logits(data, logits_of(model, apply_transform(raw, data.transform)))


def of_logits(data: Data, logits: Tensor) -> Tensor:
    """Return probabilities, or for a regression values in the target's unit, of several quantiles the medians first."""
    return from_logits(task_of(data.examples.task, data.quantiles), data.transform, logits)


def from_logits(task: Task, transform: dict[str, Any], logits: Tensor) -> Tensor:
    """Return probabilities, or for a regression values in the target's unit, of a data set with this transform."""
    if task.name != "regression":
        return task.probabilities(logits)
    std, shift = target_scaling(transform, logits.shape[-1])
    return (task.probabilities(logits) * std + shift).float()


def divide_logits(model: nn.Module, temperature: float) -> RemovableHandle:
    """Divide all logits of a model by a temperature until the handle is removed; the predicted classes stay the same.

    Args:
        temperature: "temperature" of a checkpoint, which has one if the probabilities of its run are calibrated.
    """
    return model.register_forward_hook(lambda module, inputs, logits: logits / temperature)


def logits_of(model: nn.Module, x: Tensor, batch_size: int = 4096) -> Tensor:
    """Return float32 logits on the CPU for scaled inputs, computed in evaluation mode on the model's device."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(for_model(model, part)).float().cpu() for part in x.split(batch_size)])
    finally:
        model.train(training)
