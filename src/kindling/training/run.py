"""What surrounds the steps in train.py: claiming the folder, and a result.json no matter how the run ends."""

import logging
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.model_helpers import is_overridden

from kindling import UserError, files
from kindling.cli import entry
from kindling.data.base import Data, has_test_samples
from kindling.data.trainer_parts import callbacks_of, find_callback
from kindling.files import BEST, is_untrained, write_json
from kindling.models.base import Model
from kindling.training.checkpoint import BestAndLast
from kindling.training.checkpoint_files import checkpoint_to_resume, load_best, load_last, update_best
from kindling.training.device import choose_threads
from kindling.training.divergence import Divergence
from kindling.training.lock import claim
from kindling.training.loggers import finish, log_text
from kindling.training.monitored import NEVER_DEFINED, best_scalars
from kindling.training.other_modules import check_module, own_hyperparameters
from kindling.training.quiet import silence
from kindling.training.report import ending_lines, metric_lines
from kindling.training.result import result, test_metrics
from kindling.training.summary import Summary, named

log = logging.getLogger("kindling")


class Run:
    """A context manager that locks the run's folder, and on exit writes result.json and prints the result.

    Args:
        folder: the run's folder, which Hydra has created.
        command: the shortest command that reproduces the run.
        resume: continue the run in `folder` from its last checkpoint, or from the start if it ended before the first.
        verbose: show all messages and warnings of the libraries.
        trust: load its checkpoints even though they may run code.

    Raises:
        UserError: the folder belongs to another run, is in use, or has nothing to resume.
    """

    def __init__(self, folder: str, command: str, resume: bool = False, verbose: bool = False, trust: bool = False):
        self.folder, self.command, self.resume = Path(folder), command, resume
        # With several processes Lightning starts this program again for each additional one, in the same folder.
        self.first = not entry.is_additional()
        if not self.first:
            log.setLevel(logging.WARNING)
        self.claim = claim(self.folder, new=not resume) if self.first else None
        self.checkpoint = checkpoint_to_resume(self.folder) if resume else None
        self.best_checkpoint, self.trust = self.folder / BEST, trust
        # Records of epochs that are not in the checkpoint are written again.
        state = load_last(self.folder, trust) if self.checkpoint else {}
        records = state.get("callbacks", {}).get("Records", {})
        epochs = state["loops"]["fit_loop"]["epoch_progress"]["current"] if state else {}
        self.in_epoch = epochs.get("ready") != epochs.get("processed")  # whether it was stopped within an epoch
        self.recorded = len(records.get("rows", ()))
        self.seconds = records.get("seconds", 0.0)  # of the earlier parts of the run
        # Class name of a logger -> position in its files, which only one process rewinds.
        self.marks: dict[str, object] | None = records.get("marks", {}) if resume and self.first else None
        self.trainer: pl.Trainer | None = None
        self.model: pl.LightningModule | None = None  # this and the next two are set by `begin`
        self.data: pl.LightningDataModule | None = None
        self.cfg: DictConfig | None = None
        self.started, self.threads = time.monotonic(), torch.get_num_threads()
        self.params: int | None = None
        self.sentences: list[str] = []
        silence(verbose)

    def __enter__(self) -> "Run":
        self.started = time.monotonic()
        return self

    def check_epochs(self, epochs: int | None) -> None:
        """Raise UserError if a resumed run has more than this number of epochs; call it before its files are opened."""
        if epochs and 0 < epochs < self.recorded:
            found = f"{self.folder} already has {self.recorded} epochs, and epochs={epochs} is fewer"
            raise UserError(f"{found}: increase or remove epochs.")

    def begin(
        self, trainer: pl.Trainer, model: pl.LightningModule, data: pl.LightningDataModule,
        options: dict[str, Any], cfg: DictConfig,
    ) -> None:  # fmt: skip
        """Log what will be trained, and record the config and the hyperparameters (options and the module's own)."""
        self.trainer, self.model, self.data, self.cfg = trainer, model, data, cfg
        if self.checkpoint:  # before Lightning loads the checkpoint, so that float64 weights are not rounded
            trainer.precision_plugin.convert_module(model)
        self.params = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.threads = choose_threads(trainer, model, data)
        counts = [f"{data.number_of(stage):,} {stage}" for stage in data.samples] if isinstance(data, Data) else []
        samples = "  ".join(counts) + " samples" if counts else type(data).__name__
        name, device = named(type(model), {options.get("model")}), trainer.strategy.root_device
        log.info(f"{samples}  {name} with {self.params:,} parameters  on {device}")
        own = {}
        if not isinstance(model, Model):
            check_module(model, data, epoch=self.recorded + 1 if self.in_epoch else None)
            own = own_hyperparameters(model)
        for logger in trainer.loggers:
            logger.log_hyperparams(options | own)
        if not self.checkpoint:
            config = OmegaConf.to_yaml(OmegaConf.merge(cfg, {"resume": None}), resolve=True)
            log_text(trainer.loggers, "config", f"```yaml\n{config}\n```")

    def can_test(self) -> bool:
        """Return whether there are test samples, a test step, and the best weights."""
        has_step = is_overridden("test_step", self.model, pl.LightningModule)
        can = bool(self.best) and self.data is not None and has_test_samples(self.data) and has_step
        if can:
            checkpoint = load_best(self.folder, self.trust)  # raises before Lightning loads it
            if self.checkpoint:
                update_best(self.folder, checkpoint, self.best, self.trust)
        return can

    @property
    def _saver(self) -> BestAndLast | None:
        return find_callback(self.trainer, BestAndLast) if self.trainer else None

    @property
    def best(self) -> dict[str, Any]:
        """The best epoch's score, epoch, step and metrics; empty before the end of the first epoch."""
        return self._saver.best if self._saver else {}

    @property
    def score(self) -> float | None:
        """The best value of the monitored metric, which sweeps compare."""
        return self.best.get("score")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        saver, divergence = self._saver, find_callback(self.trainer, Divergence) if self.trainer else None
        code = exc.code if isinstance(exc, SystemExit) else None
        terminated = 143 in (code, saver and saver.signals.received and 128 + saver.signals.received)
        stopped = isinstance(exc, SystemExit) and (terminated or self.trainer is not None)
        interrupted = stopped or isinstance(exc, KeyboardInterrupt)
        diverged = divergence.diverged if divergence else None
        undefined = UserError(f"monitor={saver.undefined} {NEVER_DEFINED}") if saver and saver.undefined else None
        error = exc or (None if diverged else undefined)
        status = "interrupted" if interrupted else "failed" if error else "diverged" if diverged else "finished"
        if not self.first:
            return
        torch.set_num_threads(self.threads)
        if self.resume and error and not (saver and saver.saved_at):
            log.info(f"{self.folder} was not resumed and is unchanged")
        else:
            with entry.deferred_signals():
                outcome = self._result(status) | ({"diverged": diverged} if diverged else {})
                outcome |= {"error": f"{type(error).__name__}: {error}"} if status == "failed" else {}
                self._end(outcome, error)
        if interrupted:
            sys.exit(143 if terminated else 130)  # the codes that a shell reports for SIGTERM and Ctrl-C
        if undefined is not None and error is undefined:
            raise undefined

    def _end(self, outcome: dict[str, Any], error: BaseException | None) -> None:
        """Write result.json, with the sentences of the callbacks, and print the result."""
        for callback in callbacks_of(self.trainer) if self.trainer else ():
            if isinstance(callback, Summary):
                summary = callback.summary(self.command, self.cfg)
                outcome |= summary
                self.sentences += [f"{name:8} {line}" for name, lines in summary.items() for line in lines]
        write_json(self.folder / "result.json", outcome)
        self._report(outcome, error)

    def _result(self, status: str) -> dict[str, Any]:
        seconds = self.seconds + time.monotonic() - self.started
        saver, is_tested = self._saver, self.trainer and self.trainer.state.fn == TrainerFn.TESTING
        tested = test_metrics(self.trainer.callback_metrics) if self.trainer and is_tested else {}
        monitored = (self.best.get("monitor", saver.monitor), saver.mode) if saver else (None, None)
        return result(
            status, seconds, self.trainer.current_epoch if self.trainer else 0,
            best=self.best, monitored=monitored, tested=tested, params=self.params, command=self.command,
        )  # fmt: skip

    def _report(self, result: dict[str, Any], error: BaseException | None) -> None:
        """End the HPARAMS session, and print the result."""
        for logger in self.trainer.loggers if self.trainer else ():
            best = best_scalars(result["metrics"])
            finish(logger, best, result["best_epoch"], success=result["status"] == "finished")
        lines = metric_lines(result["metrics"], result["best_epoch"], self.model, self.data) + self.sentences
        if not isinstance(error, UserError):  # which is printed at the end
            lines += ending_lines(result, self.folder)
        for line in lines:
            log.info(line)
        if self.claim and isinstance(error, UserError) and is_untrained(self.folder):
            self.claim.close()
            (self.folder / ".claim").unlink()  # so that the folder can be deleted, see kindling.cli.before_run, or used
        else:
            log.info(f"folder   {files.display_path(self.folder)}\nagain    {self.command}")
