"""A learning rate schedule, e.g. `schedule=cosine`, which changes after every optimizer step or every epoch."""

import logging
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.hooks import RemovableHandle

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, logged_as
from kindling.data.loader import steps_per_epoch
from kindling.data.trainer_parts import callbacks_of
from kindling.training.stopping import LastStep

log = logging.getLogger("kindling")


class CosLog(LRScheduler):
    """Several cosine cycles, each twice as long as the one before, as in RealMLP-TD (arXiv 2407.04491).

    At step i of n the rate is lr * (1 - cos(2 pi log2(1 + (2^cycles - 1) i / n))) / 2, which starts and ends at 0.

    Args:
        optimizer: whose learning rates are the maxima.
        total_steps: number of steps.
        cycles: number of cycles.
        last_epoch: see torch.optim.lr_scheduler.LRScheduler.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, cycles: int = 4, last_epoch: int = -1):
        self.total_steps, self.cycles = total_steps, cycles
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        position = math.log2(1 + (2**self.cycles - 1) * self.last_epoch / self.total_steps)
        return [lr * (1 - math.cos(2 * math.pi * position)) / 2 for lr in self.base_lrs]


class Schedule(pl.Callback):
    """Sets the learning rate of a model with one optimizer, even with several optimizer steps per training_step.

    It is a callback because Lightning does not step schedulers with manual optimization.

    Args:
        build: makes the scheduler from the optimizer, e.g. `partial(torch.optim.lr_scheduler.StepLR, step_size=30)`.
        every: "step" (of the optimizer) or "epoch".
        total: name of `build`'s argument for the total number of optimizer steps, or None.
        monitor: the value that ReduceLROnPlateau monitors; train/loss without validation samples.

    A run that is resumed with more epochs continues with the rates of a schedule of the new length.

    Raises:
        UserError: the model has its own schedulers.
    """

    supports_multi_step = True

    def __init__(
        self,
        build: Callable[..., LRScheduler],
        every: str = "step",
        total: str | None = None,
        monitor: str = "val/loss",
    ):
        self.build, self.every, self.total, self.monitor = build, every, total, monitor
        self.scheduler: LRScheduler | None = None
        self.saved: dict[str, Any] = {}
        self.steps = self.left = 0  # optimizer steps, total and remaining
        self.hook: RemovableHandle | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if len(trainer.optimizers) != 1 or trainer.lr_scheduler_configs:
            found = f"{len(trainer.optimizers)} optimizers and {len(trainer.lr_scheduler_configs)} schedulers"
            raise UserError(
                "schedule=... requires a model with exactly one optimizer and no scheduler of its own, but this one "
                f"has {found}: remove schedule."
            )
        optimizer, steps = trainer.optimizers[0], self._steps(trainer)
        if self.saved and self.total and self.saved["steps"] != steps:
            self._stretch(optimizer, steps, done=trainer.global_step)
        else:
            # A new scheduler sets its first learning rate; when resumed, the checkpoint's values are restored.
            before = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            self.scheduler = self._build(optimizer, steps)
            if self.saved:
                self.scheduler.load_state_dict(self.saved["scheduler"])
                for group, values in zip(optimizer.param_groups, before, strict=True):
                    group.update(values)
        self.steps, self.left = steps, steps - trainer.global_step
        if self.every == "step":
            self.hook = optimizer.register_step_post_hook(self._after_step)

    def _build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return self.build(optimizer, **({self.total: steps} if self.total else {}), **self._maxima(optimizer))

    def _stretch(self, optimizer: Optimizer, steps: int, done: int) -> None:
        """Continue with the rates that a schedule of this many steps has after the steps that are done."""
        for group, rate in zip(optimizer.param_groups, self.saved["scheduler"]["base_lrs"], strict=True):
            group["lr"] = rate
        self.scheduler = self._build(optimizer, steps)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for _ in range(min(done, steps - 1)):
                self.scheduler.step()
        rate = optimizer.param_groups[0]["lr"]
        log.info(
            f"the schedule now has {steps} steps instead of {self.saved['steps']}, and continues with lr={rate:.3g}"
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self._step_on_plateau(trainer, self.scheduler)
        elif self.every == "epoch" and self.scheduler:
            self.scheduler.step()

    def _step_on_plateau(self, trainer: pl.Trainer, scheduler: ReduceLROnPlateau) -> None:
        metrics, validates = trainer.callback_metrics, any(trainer.num_val_batches)
        name = logged_as(self.monitor if validates else TRAIN_LOSS, metrics)
        if name:
            scheduler.step(metrics[name].item())
        elif not validates or (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            raise UserError(f"schedule=plateau monitors {self.monitor}, which was not logged: set monitor=...")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.hook:
            self.hook.remove()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "scheduler": self.scheduler.state_dict()} if self.scheduler else self.saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.saved = state_dict

    def _maxima(self, optimizer: Optimizer) -> dict[str, list[float]]:
        """Return the highest rate of each parameter group, for schedulers such as OneCycleLR that set it themselves."""
        most = self.build.keywords.get("max_lr") if isinstance(self.build, partial) else None
        factors = [group.get("lr_factor", 1.0) for group in optimizer.param_groups]
        return {"max_lr": [most * factor for factor in factors]} if most and len(factors) > 1 else {}

    def _after_step(self, *_: Any) -> None:
        self.left -= 1
        if self.left > 0 and self.scheduler:  # OneCycleLR raises if it is stepped after the last step
            self.scheduler.step()

    def _steps(self, trainer: pl.Trainer) -> int:
        steps = trainer.max_epochs * steps_per_epoch(trainer) if trainer.max_epochs and trainer.max_epochs > 0 else 0
        stops = [callback.max_steps for callback in callbacks_of(trainer) if isinstance(callback, LastStep)]
        limits = [n for n in (steps, trainer.max_steps, *stops) if n > 0]
        if self.total and not limits:
            raise UserError("This schedule needs to know the number of steps: set epochs or max_steps.")
        return min(limits, default=0)
