"""Best and last checkpoints: the best weights are held in memory, the disk is written now and then."""

import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from kindling import UserError


class SavesInTime(Checkpoint, ABC):
    """Saves now and then while training goes on, and at its end; at a signal it saves and ends.

    A signal (Ctrl-C, SIGTERM) ends training after the training step, exactly resumable; a second one at once.

    Args:
        every_seconds: at most so much work is lost when the process is killed.
    """

    takes_chunks = True  # on_train_batch_end works once a chunk as well

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


class BestAndLast(SavesInTime):
    """Keeps `best.ckpt` and `last.ckpt` of a run; each is written beside its name and renamed, never half.

    Lightning's ModelCheckpoint writes a file at every improvement (2-5 ms, as long as a small epoch), and its "last"
    is the last *best*. Here last.ckpt is the last state, with the best weights inside: a resumed run has both, whenever
    it was killed.

    Args:
        dirpath: folder of the two files.
        monitor: the value to compare, e.g. "val/loss". Without validation rows there is none: best is last.
        mode: "min" or "max".
        every_seconds: at most so much work is lost when the process is killed.
    """

    def __init__(self, dirpath: str, monitor: str = "val/loss", mode: str = "min", every_seconds: float = 10.0):
        super().__init__(every_seconds)
        self.dirpath, self.monitor, self.mode = Path(dirpath), monitor, mode
        self.best: dict = {}  # score, epoch (counted from 1), step, metrics, confusion counts, weights

    @property
    def last_path(self) -> Path:
        return self.dirpath / "last.ckpt"

    @property
    def best_path(self) -> Path:
        return self.dirpath / "best.ckpt"

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        self._refuse_unknown(metrics)
        validated = self.monitor in metrics
        score = float(metrics[self.monitor] if validated else metrics.get("train/loss", 0.0))
        sign = -1 if self.mode == "max" else 1
        compared = self.best.get("validated", False)  # a value of validation gives way only to a better one
        better = (not compared or sign * score < sign * self.best["score"]) if validated else not compared
        if better and math.isfinite(score):
            self.best = {
                "score": score,
                "validated": validated,
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "metrics": {name: float(value) for name, value in metrics.items()},
                "counts": {stage: counts.clone() for stage, counts in getattr(pl_module, "counts", {}).items()},
                "weights": {name: tensor.detach().clone() for name, tensor in pl_module.state_dict().items()},
            }
        self.save_if_due(trainer)

    def _refuse_unknown(self, metrics: dict) -> None:
        """Where other values of the stage are there (an epoch may well go without validation)."""
        known = [name for name in metrics if name.startswith(self.monitor.split("/")[0] + "/")]
        if known and self.monitor not in metrics:
            raise UserError(f"monitor={self.monitor} is none of this model's: choose {', '.join(known)}.")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        # The weights of now may be those of a half taken step: last.ckpt stays as it was.
        # Of several processes the others may be gone, and a checkpoint waits for all of them.
        if self.best and trainer.world_size == 1:
            self._write_best(trainer).unlink(missing_ok=True)

    def state_dict(self) -> dict:
        random_state = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            random_state["cuda"] = torch.cuda.get_rng_state_all()
        return {"best": self.best, "random_state": random_state}

    def load_state_dict(self, state_dict: dict) -> None:
        self.best, random_state = state_dict["best"], state_dict["random_state"]
        # Dropout goes on where it was; and so does a DataLoader's order, which is drawn before on_train_start.
        torch.set_rng_state(random_state["cpu"].cpu())
        if "cuda" in random_state:
            torch.cuda.set_rng_state_all([state.cpu() for state in random_state["cuda"]])

    def save(self, trainer: pl.Trainer) -> None:
        """Write best.ckpt, then last.ckpt."""
        part = self._write_best(trainer)
        if trainer.is_global_zero:
            os.replace(part, self.last_path)

    def _write_best(self, trainer: pl.Trainer) -> Path:
        """From a checkpoint of now, which it returns, best.ckpt: with the best weights, without the training state."""
        part = self.dirpath / "last.ckpt.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero and self.best:
            # Written by this process a moment ago, so whatever a user's module keeps in it may be loaded.
            checkpoint = torch.load(part, map_location="cpu", weights_only=False)
            for key in ("optimizer_states", "lr_schedulers", "callbacks", "loops", "kept"):
                checkpoint.pop(key, None)
            weights = {name: tensor.cpu() for name, tensor in self.best["weights"].items()}
            checkpoint |= {"state_dict": weights, "epoch": self.best["epoch"] - 1, "global_step": self.best["step"]}
            torch.save(checkpoint, self.dirpath / "best.ckpt.part")
            os.replace(self.dirpath / "best.ckpt.part", self.best_path)
        return part
