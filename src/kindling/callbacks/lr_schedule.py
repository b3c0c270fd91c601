"""A schedule of the learning rate, `schedule=cosine`, moved after every optimizer step or every epoch."""

from collections.abc import Callable

import pytorch_lightning as pl
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, logged_as
from kindling.data.loader import steps_per_epoch
from kindling.training.stopping import LastStep


class Schedule(pl.Callback):
    """Set the learning rate of a model with one optimizer, also with several steps per training_step.

    Lightning leaves schedulers alone where a training step takes several optimizer steps, hence a callback.

    Args:
        build: the scheduler from the optimizer, e.g. `partial(torch.optim.lr_scheduler.StepLR, step_size=30)`.
        every: "step" (of the optimizer) or "epoch".
        total: name of `build`'s argument that takes the number of optimizer steps of the whole run, or None.
        monitor: what ReduceLROnPlateau watches; train/loss where there are no validation rows.

    Raises:
        UserError: the model brings schedulers of its own, or a resumed run has another number of steps.
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
        self.saved: dict = {}
        self.steps = self.left = 0  # of the optimizer: in all, and still to come
        self.hook = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if len(trainer.optimizers) != 1 or trainer.lr_scheduler_configs:
            raise UserError("schedule=... wants a model with one optimizer and no schedulers of its own: leave it out.")
        optimizer, steps = trainer.optimizers[0], self._steps(trainer)
        if self.saved and self.total and self.saved["steps"] != steps:
            raise UserError(
                f"The schedule was planned for {self.saved['steps']} steps and this run would have {steps}: "
                "resume with the same epochs, or start a new run."
            )
        # Resumed: a new scheduler begins by setting its first learning rate; put back what the checkpoint had.
        before = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        self.scheduler = self.build(optimizer, **({self.total: steps} if self.total else {}))
        if self.saved:
            self.scheduler.load_state_dict(self.saved["scheduler"])
            for group, values in zip(optimizer.param_groups, before, strict=True):
                group.update(values)
        self.steps, self.left = steps, steps - trainer.global_step
        if self.every == "step":
            self.hook = optimizer.register_step_post_hook(self._after_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self._step_on_plateau(trainer)
        elif self.every == "epoch":
            self.scheduler.step()

    def _step_on_plateau(self, trainer: pl.Trainer) -> None:
        metrics, validates = trainer.callback_metrics, any(trainer.num_val_batches)
        name = logged_as(self.monitor if validates else TRAIN_LOSS, metrics)
        if name:
            self.scheduler.step(metrics[name])
        elif not validates or (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            raise UserError(f"schedule=plateau watches {self.monitor}, which was not logged: say monitor=...")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.hook:
            self.hook.remove()

    def state_dict(self) -> dict:
        return {"steps": self.steps, "scheduler": self.scheduler.state_dict()} if self.scheduler else self.saved

    def load_state_dict(self, state_dict: dict) -> None:
        self.saved = state_dict

    def _after_step(self, *_) -> None:
        self.left -= 1
        if self.left > 0:  # no step follows the last one, and OneCycleLR refuses to be asked for its rate
            self.scheduler.step()

    def _steps(self, trainer: pl.Trainer) -> int:
        steps = trainer.max_epochs * steps_per_epoch(trainer) if trainer.max_epochs and trainer.max_epochs > 0 else 0
        stops = [callback.max_steps for callback in trainer.callbacks if isinstance(callback, LastStep)]
        limits = [n for n in (steps, trainer.max_steps, *stops) if n > 0]
        if self.total and not limits:
            raise UserError("This schedule has to know the run's end: give epochs or max_steps.")
        return min(limits, default=0)
