"""Best and last checkpoints: the best weights are held in memory, the disk is written now and then."""

import logging
import os
from pathlib import Path

import pytorch_lightning as pl
import torch

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS, logged_as, split
from kindling.files import replacing
from kindling.training.load import NotPlain, load
from kindling.training.saving import SavesInTime
from kindling.training.scores import is_best, monitored_name, worst

log = logging.getLogger("kindling")

OF_TRAINING = ("optimizer_states", "lr_schedulers", "callbacks", "loops", "kept")  # keys that best.ckpt is without


class BestAndLast(SavesInTime):
    """Keeps `best.ckpt` and `last.ckpt` of a run; each is written beside its name and renamed, never half.

    Lightning's ModelCheckpoint writes a file at every improvement (2-5 ms, as long as a small epoch), and its "last"
    is the last *best*. Here last.ckpt is the last state, with the best weights inside: a resumed run has both, whenever
    it was killed.

    Args:
        dirpath: folder of the two files.
        monitor: the value to compare, e.g. "val/loss".
        mode: "min" or "max".
        every_seconds: at most so much work is lost when the process is killed.
        trust: allow checkpoints that keep more than plain data, which can run code when they are opened.

    Raises:
        UserError: the model's checkpoints would keep more than plain data, or it does not log `monitor`.
    """

    supports_multi_step = True  # on_train_batch_end may cover several optimizer steps

    def __init__(
        self,
        dirpath: str,
        monitor: str = VAL_LOSS,
        mode: str = "min",
        every_seconds: float = 10.0,
        trust: bool = False,
    ):
        super().__init__(every_seconds)
        self.dirpath, self.monitor, self.mode, self.trust = Path(dirpath), monitor, mode, trust
        self.best: dict = {}  # monitor, score, epoch (counted from 1), step, metrics, weights
        self.undefined: str | None = None  # the monitored value, if it was NaN or infinite in every epoch so far
        self.told = False
        self.written: dict = {}  # the checkpoint that is being written

    @property
    def last_path(self) -> Path:
        return self.dirpath / "last.ckpt"

    @property
    def best_path(self) -> Path:
        return self.dirpath / "best.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if not self.trust:
            self._refuse_more_than_plain_data(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        name, line = monitored_name(self.monitor, trainer, is_compared=self.best.get("validated", False))
        self._tell_once(line)
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
        """Whether this epoch is the best so far. An epoch with the monitored value gives way only to a better one."""
        compared = self.best.get("validated", False)
        if compared and not validated:
            return False
        if score is None:
            return all(loss.isfinite() for loss in losses)
        best = self.best["score"] if compared else worst(self.mode)
        return bool(is_best(_number(score), _number(best), losses, self.mode))

    def _tell_once(self, line: str) -> None:
        if line and not self.told:
            log.info(line)
            self.told = True

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

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        self.written = checkpoint

    def _write_best(self, trainer: pl.Trainer) -> Path:
        """Save the current state, derive best.ckpt from it (best weights, no optimizer state), and return its path."""
        part = self.dirpath / "last.ckpt.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero and self.best:
            checkpoint = {key: value for key, value in self.written.items() if key not in OF_TRAINING}
            weights = {name: tensor.cpu() for name, tensor in self.best["weights"].items()}
            checkpoint |= {"state_dict": weights, "epoch": self.best["epoch"] - 1, "global_step": self.best["step"]}
            with replacing(self.best_path) as best:
                torch.save(checkpoint, best)
        self.written = {}
        return part

    def _refuse_more_than_plain_data(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a model whose checkpoints could not be opened without running code, before it is trained for long."""
        part, held = self.dirpath / "start.ckpt.part", ""
        trainer.save_checkpoint(part)
        self.written = {}
        if trainer.is_global_zero:
            try:
                load(part)
            except NotPlain as error:
                held = error.held
            except UserError as error:  # said by all processes: the others wait for the broadcast
                held = str(error)
            finally:
                part.unlink()
        if held := trainer.strategy.broadcast(held):
            raise UserError(
                f"Checkpoints of {type(pl_module).__name__} would hold more than plain data ({held}), which no command "
                "opens unless it is told to trust them: keep it out (save_hyperparameters(ignore=[...]), or the state "
                "of a callback), or add trust=true."
            )


def best_of(trainer: pl.Trainer) -> dict:
    """Return what BestAndLast keeps of the best epoch so far; empty before the first epoch's end, or without it."""
    return next((callback.best for callback in trainer.callbacks if isinstance(callback, BestAndLast)), {})


def _number(value: float | torch.Tensor) -> torch.Tensor:
    return torch.tensor(float(value), dtype=torch.float64)
