"""When a checkpoint is written while training goes on, and what a signal does."""

import signal
import threading
import time
from abc import ABC, abstractmethod

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint


class SavesInTime(Checkpoint, ABC):
    """Saves now and then while training goes on, and at its end; at a signal it saves and ends.

    A signal (Ctrl-C, SIGTERM) ends training after the training step, exactly resumable; a second one at once.

    Args:
        every_seconds: at most so much work is lost when the process is killed.
    """

    def __init__(self, every_seconds: float):
        self.every_seconds = every_seconds
        self.signal: int | None = None
        self.handlers: dict = {}

    @abstractmethod
    def save(self, trainer: pl.Trainer) -> None:
        """Write what training goes on from, by renaming."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.saved_at = time.monotonic()
        # Not before: Lightning's handler, set after `setup`, would end the epoch on SIGTERM without a checkpoint.
        # Where training ends by an exception, Lightning puts the earlier handlers back.
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: pl.Trainer, *_) -> None:
        # The last batch's checkpoint would come before the epoch's validation: that one is written at the epoch's end.
        if not trainer.is_last_batch:
            self.save_if_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def save_if_due(self, trainer: pl.Trainer) -> None:
        """For a subclass to call at an epoch's end, when it has seen the epoch's metrics."""
        # All processes do the same, whichever got the signal.
        if trainer.strategy.reduce_boolean_decision(self.signal is not None, all=False):
            self._save(trainer)
            # Never trainer.should_stop: it closes the epoch, and a resumed run would lose the rest of it.
            raise KeyboardInterrupt
        if trainer.strategy.reduce_boolean_decision(time.monotonic() - self.saved_at > self.every_seconds, all=False):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        self.save(trainer)
        self.saved_at = time.monotonic()

    def _note(self, number: int, frame) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
