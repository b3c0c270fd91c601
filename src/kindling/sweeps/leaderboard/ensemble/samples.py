"""The samples on which an ensemble is selected or tested, and the scores of predictions for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from kindling.data.base import Data
from kindling.data.preprocessing.transforms import target_scaling
from kindling.models.base import Model
from kindling.tasks import epoch_metrics
from kindling.tasks.losses import LOSSES, weighted
from kindling.tasks.metrics import in_unit

SMALLEST = 1e-15  # probability, which bounds the loss of a wrong prediction with probability 1 to 35


@dataclass
class Samples:
    """Targets, and what scores predictions for them; predictions are probabilities, or values in the target's unit."""

    model: Model  # whose task, loss and metrics are used
    y: Tensor
    weights: Tensor | None = None  # of the samples in the loss
    transform: Mapping[str, Any] | None = None  # of the targets

    def logits(self, preds: Tensor) -> Tensor:
        """Return the logits, or the scaled values, of predictions (..., N, num_outputs)."""
        if self.model.task.name == "regression":
            std, shift = target_scaling(dict(self.transform or {}), preds.shape[-1])
            return (preds - shift) / std
        preds = preds.clamp(SMALLEST, 1 - SMALLEST)
        return preds.log() if self.model.task.name == "multiclass" else preds.logit()

    def metrics(self, preds: Tensor) -> dict[str, float | None]:
        """Return the loss and all metrics of predictions (N, num_outputs); None if not finite."""
        values = self._scores(self.logits(preds))
        return {name: float(v) if math.isfinite(v) else None for name, v in values.items()}

    def score(self, name: str, preds: Tensor) -> Tensor:
        """Return the metric `name` (M,) of predictions (M, N, num_outputs); other metrics are not computed."""
        model, logits = self.model, self.logits(preds)
        if name == "loss" and model.loss in LOSSES[model.task.name].values():
            return vmap(weighted(model.loss, self.weights), in_dims=(0, None))(logits, self._y)
        if name == "accuracy" and model.task.name in ("binary", "multiclass"):
            return (model.task.preds(logits) == self.y.long().flatten()).double().mean(-1)
        if name in model.task.higher_is_better:
            logits, y = in_unit(logits, self._y, model.target_std)
            return model.task.metrics(logits, y.expand(len(logits), *y.shape))[name]
        return torch.stack([self._scores(member)[name].double() for member in logits])

    @property
    def _y(self) -> Tensor:
        return self.y.double() if self.y.is_floating_point() else self.y

    def _scores(self, logits: Tensor) -> dict[str, Tensor]:
        loss, own = weighted(self.model.loss, self.weights), self.model.custom_metrics
        std = self.model.target_std
        return epoch_metrics.scores(self.model.task, loss, logits, y=self._y, target_std=std, custom=own)


def samples_of(data: Data, model: Model, stage: str) -> Samples:
    """Return the samples of a stage, "val" or "test"."""
    return Samples(model, data.samples[stage][1], data.weights.get(stage), data.transform)


def targets_of(data: Data, stage: str) -> Tensor:
    """Return the targets of a stage as they are in the data set, without scaling."""
    own = data.examples.test if stage == "test" else None
    return own[1] if own else data.examples.y[data.indices[stage]]
