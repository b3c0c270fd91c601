"""Best and last checkpoints: the best weights are kept in memory and written to disk periodically."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS, logged_as, split
from kindling.data.trainer_parts import find_callback
from kindling.training.checkpoint_files import NotPlain, derive_best, load, save
from kindling.training.monitored import is_best, monitored_name, worst
from kindling.training.periodic_checkpoint import PeriodicCheckpoint

log = logging.getLogger("kindling")


class BestAndLast(PeriodicCheckpoint):
    """Saves `best.ckpt` and `last.ckpt` of a run, each to a temporary file which is then renamed.

    Lightning's ModelCheckpoint writes a file at every improvement (2-5 ms, as long as a short epoch), and its "last" is
    the last *best*. Here last.ckpt is the last state and includes the best weights, so that a resumed run has both, no
    matter when it was killed.

    Args:
        dirpath: folder of the two files.
        monitor: the value to compare, e.g. "val/loss".
        mode: "min" or "max".
        ties: "first" or "last": which of several epochs with the best value counts.
        every_seconds: interval between checkpoints, which bounds the work lost if the process is killed.
        trust: allow checkpoints with more than plain data, which can run code when they are loaded.

    Raises:
        UserError: the model's checkpoints would contain more than plain data, or it does not log `monitor`.
    """

    supports_multi_step = True  # on_train_batch_end may cover several optimizer steps

    def __init__(
        self,
        dirpath: str,
        monitor: str = VAL_LOSS,
        mode: str = "min",
        every_seconds: float = 10.0,
        trust: bool = False,
        ties: str = "first",
    ):
        super().__init__(every_seconds)
        self.dirpath, self.monitor, self.mode, self.trust = Path(dirpath), monitor, mode, trust
        self.ties = ties
        self.best: dict[str, Any] = {}  # monitor, score, epoch (from 1), step, metrics, weights
        self.undefined: str | None = None  # the monitored value, if it was NaN or infinite in every epoch so far
        self._has_logged = False
        self._checkpoint: dict[str, Any] = {}  # the one that is being saved
        self._random_state: dict[str, Any] = {}  # of the checkpoint from which training is resumed

    @property
    def last_path(self) -> Path:
        return self.dirpath / "last.ckpt"

    @property
    def best_path(self) -> Path:
        return self.dirpath / "best.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self._random_state and trainer.fit_loop.restarted_mid_epoch:
            self._restore_random_state()  # the new iterator of a DataLoader has drawn a number
        self.dirpath.mkdir(parents=True, exist_ok=True)
        if not self.trust:
            self._reject_more_than_plain_data(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        name, line = monitored_name(self.monitor, trainer, is_compared=self.best.get("validated", False))
        self._log_once(line)
        score = None if name is None else float(metrics[name])
        compared = name is not None and (name == self.monitor or split(name)[0] == "val")
        losses = [_number(metrics[loss]) for n in (TRAIN_LOSS, VAL_LOSS) if (loss := logged_as(n, metrics))]
        if self._is_best(score, compared, losses):
            self.best = {
                "monitor": name,
                "score": score,
                "validated": compared,
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "metrics": {name: float(value) for name, value in metrics.items()},
                "weights": {name: tensor.detach().clone() for name, tensor in pl_module.state_dict().items()},
            }
        self.undefined = None if self.best else name

    def _is_best(self, score: float | None, validated: bool, losses: list[torch.Tensor]) -> bool:
        """Return whether this epoch is the best; one with a monitored value is only replaced by a better one."""
        compared = self.best.get("validated", False)
        if compared and not validated:
            return False
        if score is None:
            return all(loss.isfinite() for loss in losses)
        best = self.best["score"] if compared else worst(self.mode)
        return bool(is_best(_number(score), _number(best), losses, self.mode, self.ties))

    def _log_once(self, line: str) -> None:
        if line and not self._has_logged:
            log.info(line)
            self._has_logged = True

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        # The current weights may be those of an incomplete step, so last.ckpt is left unchanged.
        # With several processes the others may have ended, and saving a checkpoint would wait for them.
        if self.best and trainer.world_size == 1:
            self._save_state(trainer).unlink()
            self._write_best()

    def state_dict(self) -> dict[str, Any]:
        random_state: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            random_state["cuda"] = torch.cuda.get_rng_state_all()
        stopped = {"was_stopped": self.was_stopped, "undefined": self.undefined}
        return {"best": self.best, "random_state": random_state, **stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self._random_state = state_dict["best"], state_dict["random_state"]
        self.was_stopped, self.undefined = state_dict.get("was_stopped", False), state_dict.get("undefined")
        # This also restores the order of a DataLoader, which is drawn before on_train_start.
        self._restore_random_state()

    def _restore_random_state(self) -> None:
        torch.set_rng_state(self._random_state["cpu"].cpu())
        if "cuda" in self._random_state:
            torch.cuda.set_rng_state_all([state.cpu() for state in self._random_state["cuda"]])

    def save(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt, then best.ckpt."""
        part = self._save_state(trainer)
        if trainer.is_global_zero:
            os.replace(part, self.last_path)
            self._write_best()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._checkpoint = checkpoint

    def _save_state(self, trainer: pl.Trainer) -> Path:
        """Save the current state to a temporary file, and return its path."""
        part = self.dirpath / "last.ckpt.part"
        if not self.dirpath.is_dir():  # Lightning would create it again, in a folder that lacks everything else
            raise FileNotFoundError(errno.ENOENT, "the folder was deleted during training", str(self.dirpath))
        try:
            trainer.save_checkpoint(part)
        except OSError as error:
            part.unlink(missing_ok=True)
            error.filename = error.filename or str(self.last_path)
            raise
        return part

    def _write_best(self) -> None:
        """Derive best.ckpt from the state that was saved."""
        if self.best:
            save(derive_best(self._checkpoint, self.best), self.best_path)
        self._checkpoint = {}

    def _reject_more_than_plain_data(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise UserError at the start of training if the model's checkpoints could not be loaded safely."""
        part, found = self.dirpath / "start.ckpt.part", ""
        try:
            trainer.save_checkpoint(part)
            self._checkpoint = {}
            if trainer.is_global_zero:
                load(part)
        except NotPlain as error:
            found = error.found
        except UserError as error:  # raised by all processes below, because the others wait for the broadcast
            found = str(error)
        finally:
            if trainer.is_global_zero:
                part.unlink(missing_ok=True)
        if found := trainer.strategy.broadcast(found):
            raise UserError(
                f"Checkpoints of {type(pl_module).__name__} would contain more than plain data ({found}), and such "
                "files are only loaded with trust=true: exclude it (with save_hyperparameters(ignore=[...]), or from "
                "the state of a callback), or add trust=true."
            )


def best_of(trainer: pl.Trainer) -> dict[str, Any]:
    """Return `BestAndLast.best`; empty before the end of the first epoch or without that callback."""
    callback = find_callback(trainer, BestAndLast)
    return callback.best if callback else {}


def _number(value: float | torch.Tensor) -> torch.Tensor:
    return torch.tensor(float(value), dtype=torch.float64)
