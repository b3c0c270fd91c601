"""The callbacks of `debug=resume`: one stops a second run at a random step, the other resumes it and compares."""

import logging
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig

from kindling import UserError
from kindling.callbacks.resume_check.differences import difference
from kindling.cli.overrides import search_path, task_overrides
from kindling.data.trainer_parts import find_callback
from kindling.files import BEST, LAST
from kindling.training.checkpoint import BestAndLast

COMPARED = LAST, BEST, Path("metrics.csv")
DISTRIBUTED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")  # variables
log = logging.getLogger("kindling")


class ResumeCheck(pl.Callback):
    """After training, trains once more, stops at a random step, resumes, and compares with this uninterrupted run.

    Args:
        folder: the run's folder; the second run is in its subfolder `resume_check`, and deleted if it is equal.

    Raises:
        UserError: a tensor, a metric or a row differs, or the second run has failed.
    """

    supports_multi_step = True

    def __init__(self, folder: str):
        self.folder = Path(folder)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        if trainer.global_step < 2:
            raise UserError("debug=resume needs at least two optimizer steps: increase epochs.")
        if any(arg.startswith("resume=") for arg in task_overrides()):
            log.info("debug=resume: skipped in a run that is resumed itself")
            return
        step = random.SystemRandom().randrange(1, trainer.global_step)  # whatever the seed of the run is
        place = self.folder / "resume_check"
        shutil.rmtree(place, ignore_errors=True)
        args = [arg for arg in task_overrides() if not arg.lstrip("+").startswith("debug=")]
        args += search_path(HydraConfig.get())
        stop = f"+callbacks.stop={{_target_: {__name__}.StopAt, step: {step}, marker: '{place / 'stopped'}'}}"
        log.info(f"debug=resume: training again, to step {step} of {trainer.global_step}")
        _train([*args, "test=false", stop, f"hydra.run.dir='{place / 'run'}'"], expected=143)
        log.info("debug=resume: resuming")
        _train([f"resume={place / 'run'}", "trust=true"], expected=0)  # the folder is our own
        for name in COMPARED:
            if found := difference(self.folder / name, place / "run" / name):
                raise UserError(
                    f"debug=resume: a run that was stopped after step {step} and resumed differs from this one: in "
                    f"{name}, {found}. Its folder is {place / 'run'}. Is there a state that is in neither state_dict "
                    "nor a buffer, or a random number that does not come from torch's generator?"
                )
        shutil.rmtree(place)
        log.info(f"debug=resume: stopped after step {step} and resumed: weights, optimizer and metrics are identical")


class StopAt(pl.Callback):
    """Stops training once, as SIGTERM does.

    Args:
        step: number of optimizer steps after which training stops.
        marker: a file that records that it has been stopped.
    """

    supports_multi_step = True

    def __init__(self, step: int, marker: str):
        self.step, self.marker = step, Path(marker)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save_every(-1, trainer)  # so that a short run does not start from the beginning either

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._save_every(math.inf, trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.step and not self.marker.exists():
            self.marker.touch()
            signal.raise_signal(signal.SIGTERM)

    def _save_every(self, seconds: float, trainer: pl.Trainer) -> None:
        if saver := find_callback(trainer, BestAndLast):
            saver.every_seconds = seconds


def _train(args: list[str], expected: int) -> None:
    """Run this program with other arguments, and raise UserError unless it ends with the expected exit code."""
    environment = {name: value for name, value in os.environ.items() if name not in DISTRIBUTED}
    command = [sys.executable, sys.argv[0], *args]
    ended = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if ended.returncode != expected:
        end = (ended.stdout + ended.stderr).strip()[-1000:]
        raise UserError(f"debug=resume: {' '.join(command)} ended with exit code {ended.returncode}: {end}")
