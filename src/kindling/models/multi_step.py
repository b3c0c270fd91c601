"""When a training step may take many mini-batches, and what it may leave out: only what nobody listens to.

Several optimizer steps in one call are taken only where everything involved is listed here, by exact class, as giving
the same numbers then. Anything else trains one mini-batch a step, as Lightning does, and the reason is logged.
"""

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.optim import Optimizer

from kindling.data.base import Data

# What a subclass may have for itself, of all that Lightning and our base class define: it is called once an epoch or
# less often, or does the same for each mini-batch.
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
ALLOWED_DATA = {  # the same of a data set
    *("load", "model_kwargs", "prepare_data", "setup", "teardown", "state_dict", "load_state_dict"),
    *("val_dataloader", "test_dataloader", "predict_dataloader"),
}
# Lightning's callbacks that do the same whether a training step takes one mini-batch or several.
EPOCH_CALLBACKS = {
    *(callbacks.BasePredictionWriter, callbacks.EarlyStopping, callbacks.OnExceptionCheckpoint),
    *(callbacks.ModelSummary, callbacks.RichModelSummary),
}
# Those that count, log, draw or change something at single batches, step schedulers, or average weights.
BATCH_CALLBACKS = {
    *(callbacks.BackboneFinetuning, callbacks.BaseFinetuning, callbacks.BatchSizeFinder, callbacks.Callback),
    *(callbacks.Checkpoint, callbacks.DeviceStatsMonitor, callbacks.EMAWeightAveraging, callbacks.LambdaCallback),
    *(callbacks.GradientAccumulationScheduler, callbacks.LearningRateFinder, callbacks.LearningRateMonitor),
    *(callbacks.ModelCheckpoint, callbacks.ModelPruning, callbacks.ProgressBar, callbacks.RichProgressBar),
    *(callbacks.SpikeDetection, callbacks.StochasticWeightAveraging, callbacks.ThroughputMonitor, callbacks.Timer),
    *(callbacks.TQDMProgressBar, callbacks.WeightAveraging),
}
# Optimizers whose step needs no closure and nothing from Lightning.
OPTIMIZERS = {
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop),
    *(torch.optim.Adagrad, torch.optim.Adadelta, torch.optim.Adamax, torch.optim.ASGD, torch.optim.Rprop),
    *(torch.optim.Adafactor, torch.optim.Muon),
}


def _counting(trainer: pl.Trainer) -> dict[str, bool]:
    """Return which flags of the Trainer count batches or act on each."""
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
    """Return the reason for one mini-batch a training step, or None where a step may take several of them.

    Args:
        base: the class whose own methods are made for several; one that a subclass overrides has to be in ALLOWED.
    """
    trainer, data = module.trainer, module.trainer.datamodule
    if not isinstance(data, Data) or data.steps_per_execution == 1:
        return "steps_per_execution=1"
    if flags := [flag for flag, is_set in _counting(trainer).items() if is_set]:
        return f"trainer.{flags[0]} acts on single batches"
    for kind, own, allowed in ((type(module), base, ALLOWED), (type(data), Data, ALLOWED_DATA)):
        between = kind.__mro__[: kind.__mro__.index(own)]
        for name in (name for cls in between for name in vars(cls) if not name.startswith("_")):
            if name not in allowed and name in dir(own):
                return f"{kind.__name__} has its own {name}"
    optimizer = module.configure_optimizers()
    if type(optimizer) not in OPTIMIZERS:
        return f"{type(optimizer).__name__} is not known to allow more"
    return next((why for callback in trainer.callbacks if (why := _why_callback(type(callback)))), None)


def _why_callback(kind: type) -> str | None:
    # A class of ours or the user's says so for itself alone: what a subclass adds may act on single batches.
    if kind in EPOCH_CALLBACKS or vars(kind).get("supports_multi_step"):
        return None
    if kind in BATCH_CALLBACKS:
        return f"{kind.__name__} acts on single batches"
    return f"{kind.__name__} may act on single batches (if it does not, write supports_multi_step = True in its class)"


def backward_of(module: pl.LightningModule) -> Callable[[torch.Tensor], None]:
    """The module's manual_backward, or torch's where it would do no more and cost a small net a fifth of its step."""
    trainer, hooks = module.trainer, ("on_before_backward", "on_after_backward", "backward")
    plain = type(trainer.strategy) is SingleDeviceStrategy and type(trainer.precision_plugin) is Precision
    listened = any(is_overridden(hook, module, pl.LightningModule) for hook in hooks) or any(
        is_overridden(hook, callback, pl.Callback) for callback in trainer.callbacks for hook in hooks[:2]
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
