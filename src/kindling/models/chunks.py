"""When a training step may take many mini-batches, and what it may leave out: only what nobody listens to."""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch.optim import Optimizer

# Called by Lightning for every batch of automatic optimization, and not, or once a chunk, with chunks.
PER_BATCH = (
    *("training_step", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping", "on_before_zero_grad"),
    *("lr_scheduler_step", "on_train_batch_start", "on_train_batch_end"),
)
# Flags of the Trainer that count batches or act on each, with their neutral value.
COUNTING = {
    "limit_train_batches": 1.0,
    "overfit_batches": 0.0,
    "fast_dev_run": False,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "val_check_interval": 1.0,
}


def why_single_batches(module: pl.LightningModule, base: type) -> str | None:
    """The reason for one mini-batch a training step, or None where a step may take a chunk of them.

    Args:
        base: the class whose hooks are made for chunks; one that a subclass overrides is not.
    """
    trainer = module.trainer
    if getattr(trainer.datamodule, "chunk", "off") == "off":
        return "chunk=off"
    for flag, neutral in COUNTING.items():
        if getattr(trainer, flag) not in (neutral, None):
            return f"trainer.{flag} acts on single batches"
    for hook in PER_BATCH:
        if getattr(type(module), hook) is not getattr(base, hook):
            return f"{type(module).__name__} overrides {hook}"
    for callback in trainer.callbacks:
        for hook in PER_BATCH:
            if _overrides(callback, hook) and not getattr(callback, "takes_chunks", False):
                return f"{type(callback).__name__} overrides {hook}"
    return None


def backward_of(module: pl.LightningModule) -> Callable[[torch.Tensor], None]:
    """The module's manual_backward, or torch's where it would do no more and cost a small net a fifth of its step."""
    trainer, hooks = module.trainer, ("on_before_backward", "on_after_backward", "backward")
    plain = type(trainer.strategy) is SingleDeviceStrategy and type(trainer.precision_plugin) is Precision
    listened = any(_overrides(module, hook) for hook in hooks) or any(
        _overrides(callback, hook) for callback in trainer.callbacks for hook in hooks[:2]
    )
    return torch.Tensor.backward if plain and not listened else module.manual_backward


def zero_grad_of(optimizer: Optimizer) -> Callable[[], None]:
    """An optimizer's own zero_grad, or what torch's does without its profiling hook, which takes as long as a layer."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        return optimizer.zero_grad
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def zero_grad() -> None:
        for p in parameters:
            p.grad = None

    return zero_grad


def _overrides(thing: pl.LightningModule | pl.Callback, hook: str) -> bool:
    """Whether its class has more than Lightning's own (empty) hook."""
    base = pl.Callback if isinstance(thing, pl.Callback) else pl.LightningModule
    return getattr(type(thing), hook, None) is not getattr(base, hook, None)
