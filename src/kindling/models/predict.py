"""Predictions from raw inputs: probabilities, or values in the target's own unit."""

import torch
from torch import Tensor

from kindling.data.transforms import apply_transform, target_scaling
from kindling.models.capture import for_model
from kindling.tasks.tasks import TASKS


def predict(model, data, raw: Tensor) -> Tensor:
    """Probabilities (N, num_outputs) of raw inputs (N, columns), or of a regression the values in the target's unit."""
    return of_logits(data, logits_of(model, apply_transform(raw, data.transform)))


def of_logits(data, logits: Tensor) -> Tensor:
    task = data.examples.task
    if task != "regression":
        return TASKS[task].probabilities(logits)
    std, shift = target_scaling(data.transform)
    return (logits * std + shift).float()


def logits_of(model, x: Tensor, rows: int = 4096) -> Tensor:
    """Of scaled inputs, in evaluation mode, on the model's device; the result is on the CPU in float32."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return torch.cat([model(for_model(model, part)).float().cpu() for part in x.split(rows)])
    finally:
        model.train(training)
