"""An L1 penalty and a limit for the gradient's norm, added between backward and step."""

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

from kindling import UserError


class Gradients(pl.Callback):
    """Change the gradients before every optimizer step, also with several steps per training_step.

    Args:
        l1: factor of the sum of absolute weights and biases that is added to the loss; recorded losses are without it.
        clip: largest norm of all gradients together, or None. The penalty's part is in it.
    """

    supports_multi_step = True

    def __init__(self, l1: float = 0.0, clip: float | None = None):
        self.l1, self.clip = l1, clip

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer):
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.l1:
            for p in weights:
                p.grad.add_(p.detach().sign(), alpha=self.l1)  # the slope of l1 * |p|
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(weights, self.clip)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fused = any(group.get("fused") for optimizer in trainer.optimizers for group in optimizer.param_groups)
        if trainer.precision == "16-mixed" and fused:
            raise UserError(
                "precision=16-mixed scales the gradients until a fused optimizer's step, so l1 and clip cannot see "
                "them: add optimizer.fused=false, or take precision=bf16-mixed."
            )


def gradients(l1: float, clip: float | None) -> Gradients | None:
    """For conf/config.yaml: none where there is nothing to do."""
    return Gradients(l1, clip) if l1 or clip is not None else None
