"""A `Model` that trains a group of models, reusing the training code of `kindling.models.base.Model`."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vmap

from kindling.models.base import Model
from kindling.models.multi_step import backward_of
from kindling.models.parameter_groups import lr_factor_of_each, main_factor
from kindling.sweeps.grouped.rates import Rates
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.update import GroupOptimizer, MemberOptions, OptimizerPart
from kindling.tasks import losses

Loss = Callable[[Tensor, Tensor], Tensor]

# Explicitly batched losses, means over all dimensions but the members'; they take a third of the time of vmap.
BATCHED: dict[Loss, Loss] = {
    losses.bce: lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean((1, 2)),
    losses.mse: lambda z, y: (z - y).square().mean((1, 2)),
}


def batched(loss: Loss) -> Loss:
    """Return a function of logits (M, N, num_outputs) and y (M, N, ...) that gives each member's loss (M,)."""
    explicit = BATCHED.get(loss)
    return explicit if explicit and _agree(explicit, loss) else vmap(loss)


def _agree(explicit: Loss, loss: Loss) -> bool:
    """Return whether both losses agree; they differ if the user has edited one."""
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(2, 3, 7, 2, generator=generator, dtype=torch.float64)
    y = (y > 0).double()
    return torch.allclose(explicit(z, y), torch.stack([*map(loss, z, y)]), rtol=1e-12, atol=0.0)


def in_parts(parts: list[tuple[slice, Loss]]) -> Loss:
    """Return a batched loss (M,) that computes each slice of members with its own loss."""
    if len(parts) == 1:
        return parts[0][1]
    return lambda z, y: torch.cat([loss(z[part], y[part]) for part, loss in parts])


def _factors(model: Model) -> Tensor | None:
    """Return the factor of the learning rate for each value of the parameters (P,); None if all are 1."""
    if not model.lr_factors:
        return None
    both = zip(model.parameters(), lr_factor_of_each(model, model.lr_factors), strict=True)
    return torch.cat([torch.full((p.numel(),), factor, dtype=torch.float64) for p, factor in both])


class Members(Model):
    """Trains M models together and independently of each other.

    Args:
        stack: the weights and the forward pass of all members.
        members, parts, rates: see GroupOptimizer.
        model: one of the models; all have its task, loss, metrics and lr_factors.
        training_loss: a function of logits (M, N, num_outputs) and y (M, N, ...) that gives each member's loss (M,).
    """

    def __init__(
        self,
        stack: Stack,
        members: list[MemberOptions],
        parts: list[OptimizerPart],
        *,
        rates: Rates,
        model: Model,
        training_loss: Loss,
    ):
        factors = _factors(model)

        def optimizer(parameters: Iterable[nn.Parameter]) -> GroupOptimizer:
            (rows,) = parameters
            return GroupOptimizer(rows, members, parts, rates, lr_factors=factors)

        super().__init__(
            model.task.name,
            optimizer=optimizer,
            loss=batched(model.loss),
            target_std=model.target_std,
            metrics=model.custom_metrics,
        )
        self.task = model.task  # which may have quantiles
        self.stack, self.rates, self.training_loss = stack, rates, training_loss
        self.main_factor = main_factor(model, model.lr_factors)  # of the learning rate that a single run records

    def save_hyperparameters(self, *args: Any, **kwargs: Any) -> None:
        """Save nothing; a member's hyperparameters are those of its own model."""

    def setup(self, stage: str) -> None:
        self.automatic_optimization = False
        backward = backward_of(self)

        def backward_all(loss: Tensor, *args: Any, **kwargs: Any) -> None:
            backward(loss.sum())  # (M,); no loss depends on another member's weights

        self._backward = backward_all

    def forward(self, x: Tensor) -> Tensor:
        return self.stack(x)  # (M, N, num_outputs) of (M, N, *input_shape)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["rates"] = self.rates.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        super().on_load_checkpoint(checkpoint)
        self.rates.load_state_dict(checkpoint["rates"])
