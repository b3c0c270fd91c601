"""A group of models as one: what it does with its batches is the code of kindling.models.base.Model."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from kindling.models.base import Model
from kindling.models.multi_step import backward_of
from kindling.sweeps.grouped.rates import Rates
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.update import Member, Part, Update
from kindling.tasks import losses

Loss = Callable[[Tensor, Tensor], Tensor]

# By hand what vmap would do, in a third of the time: a mean over all but the members.
BATCHED: dict[Loss, Loss] = {
    losses.bce: lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean((1, 2)),
    losses.mse: lambda z, y: (z - y).square().mean((1, 2)),
}


def batched(loss: Loss) -> Loss:
    """Return the loss of every member (M,), of logits (M, N, num_outputs) and y (M, N, ...)."""
    by_hand = BATCHED.get(loss)
    return by_hand if by_hand and _agree(by_hand, loss) else vmap(loss)


def _agree(by_hand: Loss, loss: Loss) -> bool:
    """Whether both give the same numbers: the loss may have been edited."""
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(2, 3, 7, 2, generator=generator, dtype=torch.float64)
    y = (y > 0).double()
    return torch.allclose(by_hand(z, y), torch.stack([*map(loss, z, y)]), rtol=1e-12, atol=0.0)


def in_parts(parts: list[tuple[slice, Loss]]) -> Loss:
    """Return the loss of every member (M,) where those of each slice have one of their own."""
    if len(parts) == 1:
        return parts[0][1]
    return lambda z, y: torch.cat([loss(z[part], y[part]) for part, loss in parts])


class Members(Model):
    """Trains M models side by side; none sees another.

    Args:
        stack: their weights and forward pass.
        members, parts: what the optimizer step of each wants.
        rates: their learning rates.
        model: one of them, with the task, loss and metrics of all.
        training_loss: of logits (M, N, num_outputs) and y (M, N, ...), for each member (M,).
    """

    def __init__(
        self,
        stack: Stack,
        members: list[Member],
        parts: list[Part],
        *,
        rates: Rates,
        model: Model,
        training_loss: Loss,
    ):
        super().__init__(
            model.task.name,
            optimizer=lambda parameters: Update(*parameters, members, parts, rates=rates),
            loss=batched(model.loss),
            target_std=model.target_std,
            metrics=model.custom_metrics,
        )
        self.stack, self.rates, self.training_loss = stack, rates, training_loss

    def save_hyperparameters(self, *_, **__) -> None:
        """A group has none; a member's are those of its own model."""

    def setup(self, stage: str) -> None:
        self.automatic_optimization = False
        backward = backward_of(self)
        self._backward = lambda losses: backward(losses.sum())  # (M,); none depends on another member's weights

    def forward(self, x: Tensor) -> Tensor:
        return self.stack(x)  # (M, N, num_outputs) of (M, N, *input_shape)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["rates"] = self.rates.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        super().on_load_checkpoint(checkpoint)
        self.rates.load_state_dict(checkpoint["rates"])
