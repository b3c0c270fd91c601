"""Decide whether a training step may process several mini-batches, and skip hooks that are not used.

Several optimizer steps per call are taken only if everything involved is listed here, by its exact class, as giving the
same numbers. Anything else trains one mini-batch per step, as Lightning does, and the reason is logged.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.optim import Optimizer

from kindling.data.base import Data
from kindling.data.trainer_parts import callbacks_of, datamodule_of

# Methods of Lightning and the base class that a subclass may override: they are called at most once per epoch, or
# work the same for one mini-batch and for several.
ALLOWED = {
    *("forward", "extra_repr", "setup", "teardown", "prepare_data", "configure_model", "configure_callbacks"),
    *("on_fit_start", "on_fit_end", "on_train_start", "on_train_end", "on_train_epoch_start", "on_train_epoch_end"),
    *("on_save_checkpoint", "on_load_checkpoint", "validation_step", "test_step", "predict_step"),
    *(
        f"on_{stage}_{when}"
        for stage in ("validation", "test", "predict")
        for when in ("start", "end", "epoch_start", "epoch_end", "batch_start", "batch_end")
    ),
}
ALLOWED_DATA = {  # the same for data classes
    *("load", "model_kwargs", "prepare_data", "setup", "teardown", "state_dict", "load_state_dict"),
    *("val_dataloader", "test_dataloader", "predict_dataloader"),
}
# Lightning's callbacks that work the same with one or several mini-batches per training step.
EPOCH_CALLBACKS = {
    *(callbacks.BasePredictionWriter, callbacks.EarlyStopping, callbacks.OnExceptionCheckpoint),
    *(callbacks.ModelSummary, callbacks.RichModelSummary),
}
# Callbacks that count, log, draw or change something at single batches, step schedulers, or average weights.
BATCH_CALLBACKS = {
    *(callbacks.BackboneFinetuning, callbacks.BaseFinetuning, callbacks.BatchSizeFinder, callbacks.Callback),
    *(callbacks.Checkpoint, callbacks.DeviceStatsMonitor, callbacks.EMAWeightAveraging, callbacks.LambdaCallback),
    *(callbacks.GradientAccumulationScheduler, callbacks.LearningRateFinder, callbacks.LearningRateMonitor),
    *(callbacks.ModelCheckpoint, callbacks.ModelPruning, callbacks.ProgressBar, callbacks.RichProgressBar),
    *(callbacks.SpikeDetection, callbacks.StochasticWeightAveraging, callbacks.ThroughputMonitor, callbacks.Timer),
    *(callbacks.TQDMProgressBar, callbacks.WeightAveraging),
}
# Optimizers whose step needs neither a closure nor Lightning.
OPTIMIZERS = {
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop),
    *(torch.optim.Adagrad, torch.optim.Adadelta, torch.optim.Adamax, torch.optim.ASGD, torch.optim.Rprop),
    *(torch.optim.Adafactor, torch.optim.Muon),
}


def _batch_flags(trainer: Any) -> dict[str, bool]:
    """Return whether each flag of the Trainer that counts batches or acts on single ones is set."""
    return {
        "limit_train_batches": trainer.limit_train_batches != 1.0,
        "overfit_batches": trainer.overfit_batches != 0.0,
        "fast_dev_run": trainer.fast_dev_run is not False,
        "max_steps": trainer.max_steps != -1,
        "accumulate_grad_batches": trainer.accumulate_grad_batches != 1,
        "gradient_clip_val": trainer.gradient_clip_val is not None,
        "val_check_interval": trainer.val_check_interval not in (1.0, None),
    }


def why_single_batches(module: pl.LightningModule, base: type) -> str | None:
    """Return the reason for one mini-batch per training step, or None if a step may take several.

    Args:
        module: the model.
        base: the class whose methods support several mini-batches; those that a subclass overrides must be in ALLOWED.
    """
    trainer, data = module.trainer, datamodule_of(module.trainer)
    if not isinstance(data, Data) or data.steps_per_execution == 1:
        return "steps_per_execution=1"
    if flags := [flag for flag, is_set in _batch_flags(trainer).items() if is_set]:
        return f"trainer.{flags[0]} acts on single batches"
    for cls, parent, allowed in ((type(module), base, ALLOWED), (type(data), Data, ALLOWED_DATA)):
        subclasses = cls.__mro__[: cls.__mro__.index(parent)]
        for name in (name for subclass in subclasses for name in vars(subclass) if not name.startswith("_")):
            if name not in allowed and name in dir(parent):
                return f"{cls.__name__} overrides {name}"
    optimizer = module.configure_optimizers()
    if type(optimizer) not in OPTIMIZERS:
        return f"{type(optimizer).__name__} is not known to support several steps per training_step"
    return next((why for callback in callbacks_of(trainer) if (why := _why_callback(type(callback)))), None)


def _why_callback(cls: type) -> str | None:
    # supports_multi_step is not inherited, because a subclass may add something that acts on single batches.
    if cls in EPOCH_CALLBACKS or vars(cls).get("supports_multi_step"):
        return None
    if cls in BATCH_CALLBACKS:
        return f"{cls.__name__} acts on single batches"
    return f"{cls.__name__} may act on single batches (if it does not, set supports_multi_step = True in its class)"


def backward_of(module: pl.LightningModule) -> Callable[[torch.Tensor], None]:
    """Return the module's manual_backward, or Tensor.backward if equivalent, which saves a fifth of a short step."""
    trainer, hooks = module.trainer, ("on_before_backward", "on_after_backward", "backward")
    is_plain = type(trainer.strategy) is SingleDeviceStrategy and type(trainer.precision_plugin) is Precision
    has_hooks = any(is_overridden(hook, module, pl.LightningModule) for hook in hooks) or any(
        is_overridden(hook, callback, pl.Callback) for callback in callbacks_of(trainer) for hook in hooks[:2]
    )
    return torch.Tensor.backward if is_plain and not has_hooks else module.manual_backward


def zero_grad_of(optimizer: Optimizer) -> Callable[[], None]:
    """Return the optimizer's zero_grad, without torch's profiling hook, which takes as long as a layer."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        return optimizer.zero_grad
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def zero_grad() -> None:
        for p in parameters:
            p.grad = None

    return zero_grad
