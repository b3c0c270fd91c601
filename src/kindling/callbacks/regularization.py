"""An L1 penalty and gradient clipping, applied between backward and the optimizer step."""

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

from kindling import UserError


class Gradients(pl.Callback):
    """Changes the gradients before every optimizer step, even with several optimizer steps per training_step.

    Args:
        l1: factor of the sum of absolute weights and biases added to the loss; recorded losses do not include it.
        clip: maximum norm of all gradients together, including those of the penalty, or None.
    """

    supports_multi_step = True

    def __init__(self, l1: float = 0.0, clip: float | None = None):
        self.l1, self.clip = l1, clip

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.l1:
            for p in weights:
                p.grad.add_(p.detach().sign(), alpha=self.l1)  # the gradient of l1 * |p|
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(weights, self.clip)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fused = any(group.get("fused") for optimizer in trainer.optimizers for group in optimizer.param_groups)
        if trainer.precision == "16-mixed" and fused:
            raise UserError(
                "With precision=16-mixed, a fused optimizer unscales the gradients inside its step, so l1 and clip "
                "cannot be applied before it: set optimizer.fused=false or precision=bf16-mixed."
            )


def gradients(l1: float, clip: float | None) -> Gradients | None:
    """Return the callback, or None if it has nothing to do; called by conf/config.yaml."""
    return Gradients(l1, clip) if l1 or clip is not None else None
