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
        self.saved_at: float | None = None  # when, by time.monotonic(); None before training
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

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # The state at the end of the epoch before. There, in on_train_epoch_end, Lightning has not yet logged what a
        # module logs of the whole epoch, nor moved its schedulers, and a resumed run would do neither.
        progress = trainer.fit_loop.epoch_progress
        for counts in (progress.total, progress.current):
            counts.ready -= 1  # this epoch has not begun
        try:
            self._save_if_due(trainer)
        finally:
            for counts in (progress.total, progress.current):
                counts.ready += 1

    def on_train_batch_end(self, trainer: pl.Trainer, *_) -> None:
        if not trainer.is_last_batch:  # the last batch's would come before the epoch's validation
            self._save_if_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        if self._interrupted(trainer):
            raise KeyboardInterrupt

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        interrupted = self._interrupted(trainer)  # looked at once: a signal may come at any moment
        late = time.monotonic() - self.saved_at > self.every_seconds
        if interrupted or trainer.strategy.reduce_boolean_decision(late, all=False):
            self._save(trainer)
        if interrupted:
            # Never trainer.should_stop: it closes the epoch, and a resumed run would lose the rest of it.
            raise KeyboardInterrupt

    def _interrupted(self, trainer: pl.Trainer) -> bool:
        """Whether any process got a signal: all of them do the same then."""
        return trainer.strategy.reduce_boolean_decision(self.signal is not None, all=False)

    def _save(self, trainer: pl.Trainer) -> None:
        self.save(trainer)
        self.saved_at = time.monotonic()

    def _note(self, number: int, frame) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
