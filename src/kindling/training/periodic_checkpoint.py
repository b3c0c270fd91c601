"""Periodic checkpoints during training, and one when training is interrupted."""

import logging
import time
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, Timer
from pytorch_lightning.utilities.combined_loader import CombinedLoader

from kindling.data.loader import TensorLoader
from kindling.data.trainer_parts import callbacks_of
from kindling.models.base import Model
from kindling.training.signals import Signals

log = logging.getLogger("kindling")


class PeriodicCheckpoint(Checkpoint, ABC):
    """Saves checkpoints periodically and at the end of training; on a signal, it saves one and ends training.

    A signal (Ctrl-C, SIGTERM) ends training after the current training step, from where it can be resumed exactly; a
    second signal ends it at once. If `why_restart` has a reason, checkpoints are only saved between epochs.

    Args:
        every_seconds: interval between checkpoints, which bounds the work lost if the process is killed.
    """

    def __init__(self, every_seconds: float):
        self.every_seconds = every_seconds
        self.signals = Signals()
        self.saved_at: float | None = None  # time.monotonic() of the last one; None before training
        self.why_restart = ""
        self.was_stopped = False  # by patience, a limit of steps or divergence; in the checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.was_stopped:
            log.info("training was stopped early, and does not continue")
            trainer.should_stop = True

    @abstractmethod
    def save(self, trainer: pl.Trainer) -> None:
        """Write the state from which training can be resumed, atomically."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.saved_at, self.why_restart = time.monotonic(), why_restart(trainer)
        # Not earlier: Lightning's handler, set after `setup`, would end the epoch on SIGTERM without a checkpoint.
        # If training ends with an exception, Lightning restores the earlier handlers.
        self.signals.defer()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:
            # Without a checkpoint the run starts again. With one it would differ: only before the first epoch does
            # Lightning create the iterator of a DataLoader, which draws the order of the samples, before this hook.
            if self._interrupted(trainer):
                raise KeyboardInterrupt
            return
        # Save the state at the end of the previous epoch. In its on_train_epoch_end Lightning has not yet logged the
        # module's epoch values or stepped the schedulers, and a resumed run would do neither.
        progress = trainer.fit_loop.epoch_progress
        for counts in (progress.total, progress.current):
            counts.ready -= 1  # the new epoch has not begun
        try:
            self._save_if_due(trainer)
        finally:
            for counts in (progress.total, progress.current):
                counts.ready += 1

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if not trainer.is_last_batch:  # after the last one, the epoch's validation is still to come
            self._save_if_due(trainer, unless=self.why_restart)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        has_timer = any(isinstance(callback, Timer) for callback in callbacks_of(trainer))
        self.was_stopped = trainer.should_stop and not has_timer  # whose limit can be increased
        self._save(trainer)
        self.signals.restore()
        if self._interrupted(trainer):
            raise KeyboardInterrupt

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning's handler of SIGTERM sends to the other processes, which may have ended their test.
        self.signals.raise_on_sigterm()

    def _save_if_due(self, trainer: pl.Trainer, unless: str = "") -> None:
        interrupted = self._interrupted(trainer)  # read only once, because a signal may arrive at any time
        is_due = self.saved_at is None or time.monotonic() - self.saved_at > self.every_seconds
        is_due = interrupted or trainer.strategy.reduce_boolean_decision(is_due, all=False)
        if is_due and not unless:
            self._save(trainer)
        if interrupted:
            if unless:
                log.info(f"when it is resumed, epoch {trainer.current_epoch + 1} starts again: {unless}")
            # Not trainer.should_stop: it ends the epoch, and a resumed run would lose the rest of it.
            raise KeyboardInterrupt

    def _interrupted(self, trainer: pl.Trainer) -> bool:
        """Return whether any process got a signal, so that all of them act alike."""
        return trainer.strategy.reduce_boolean_decision(self.signals.received is not None, all=False)

    def _save(self, trainer: pl.Trainer) -> None:
        self.save(trainer)
        self.saved_at = time.monotonic()


def why_restart(trainer: pl.Trainer) -> str:
    """Return why training cannot continue in the middle of an epoch with the same results, or an empty string."""
    loaders, module = CombinedLoader(trainer.train_dataloader).flattened, trainer.lightning_module
    if not all(hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict") for loader in loaders):
        return "the training DataLoader has no state_dict and load_state_dict, so it cannot return to its position"
    if not isinstance(module, Model) and any(isinstance(loader, TensorLoader) for loader in loaders):
        return f"the means that {type(module).__name__} logs need all batches"
    return ""
