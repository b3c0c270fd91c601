"""One run from its folder to its result: whatever happens in between, result.json says how it ended."""

import logging
import os
import sys
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.model_helpers import is_overridden

from kindling import UserError, files
from kindling.data.base import Data, has_test_samples
from kindling.files import BEST, LAST, write_json
from kindling.models.base import Model
from kindling.training.checkpoint import BestAndLast
from kindling.training.divergence import Divergence
from kindling.training.load import load
from kindling.training.lock import claim
from kindling.training.loggers import TensorBoard, log_text
from kindling.training.quiet import silence
from kindling.training.result import loss_note, result, table, test_metrics
from kindling.training.scores import NEVER_DEFINED, best_scalars
from kindling.training.summary import Summary, named
from kindling.training.trainer import choose_threads

log = logging.getLogger("kindling")

PLAIN = (bool, int, float, str)


class Run:
    """Claims the folder, and on leaving writes result.json and says where things are.

    Args:
        folder: the run's, which Hydra has made.
        command: the shortest that reproduces the run.
        resume: continue the run in `folder` from its last checkpoint.
        trust: open its checkpoints although they may run code.
        verbose: show every message and warning of the libraries.

    Raises:
        UserError: the folder belongs to another run, is in use, or has nothing to resume.
    """

    def __init__(self, folder: str, command: str, resume: bool = False, verbose: bool = False, trust: bool = False):
        self.folder, self.command, self.resume = Path(folder), command, resume
        self.checkpoint = self.folder / LAST if resume else None
        if resume and not self.checkpoint.is_file():
            raise UserError(f"{folder} has no {LAST} to resume from: it ended before the first was written.")
        self.best_checkpoint, self.trust = self.folder / BEST, trust
        # Records of epochs that the checkpoint does not have are written again.
        state = load(self.checkpoint, trust) if resume else {}
        records = state.get("callbacks", {}).get("Records", {})
        epochs = state["loops"]["fit_loop"]["epoch_progress"]["current"] if resume else {}
        self.in_epoch = epochs.get("ready") != epochs.get("processed")  # whether it was stopped within an epoch
        self.recorded = len(records.get("rows", ()))
        self.seconds = records.get("seconds", 0.0)  # of the parts before
        self.marks = records.get("marks", {})  # logger's class name -> where its files ended
        # With several processes Lightning starts this program again for each further one, in the first one's folder.
        self.first = os.environ.get("LOCAL_RANK", "0") == "0"
        self.claim = claim(self.folder, new=not resume) if self.first else None
        if not self.first:
            log.setLevel(logging.WARNING)
        self.trainer: pl.Trainer | None = None
        self.model = self.data = self.cfg = None  # from `begin` on
        self.started = time.monotonic()
        self.threads, self.params, self.sentences = torch.get_num_threads(), None, []
        silence(verbose)

    def __enter__(self) -> "Run":
        self.started = time.monotonic()
        return self

    def begin(self, trainer: pl.Trainer, model: pl.LightningModule, data, options: dict, cfg: DictConfig) -> None:
        """Say what will be trained; record the hyperparameters (options and the module's own) and the config."""
        self.trainer, self.model, self.data, self.cfg = trainer, model, data, cfg
        if trainer.max_epochs and 0 < trainer.max_epochs < self.recorded:
            raise UserError(
                f"{self.folder} has {self.recorded} epochs already, epochs={trainer.max_epochs} is fewer: leave it "
                "out, or ask for more."
            )
        if self.resume:  # Lightning converts it after it has loaded the checkpoint: float64 weights would be rounded
            trainer.precision_plugin.convert_module(model)
        self.params = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.threads = choose_threads(trainer, model, data)
        counts = [f"{data.number_of(stage):,} {stage}" for stage in data.samples] if isinstance(data, Data) else []
        of = "  ".join(counts) + " rows" if counts else type(data).__name__
        name = named(type(model).__name__, {options.get("model")})
        log.info(f"{of}  {name} with {self.params:,} parameters  on {trainer.strategy.root_device}")
        if self.in_epoch and not isinstance(model, Model):
            log.info(
                f"resumed within epoch {self.recorded + 1}: what {type(model).__name__} logs as means of that epoch is "
                "of its remaining batches alone"
            )
        own = {} if isinstance(model, Model) else {k: v for k, v in model.hparams.items() if isinstance(v, PLAIN)}
        for logger in trainer.loggers:
            logger.log_hyperparams(options | own)
        if not self.resume:
            log_text(trainer.loggers, "config", f"```yaml\n{OmegaConf.to_yaml(cfg, resolve=True)}\n```")

    def can_test(self) -> bool:
        """Whether there are test rows and weights to score on them."""
        has_step = is_overridden("test_step", self.model, pl.LightningModule)
        tests = bool(self.best) and has_test_samples(self.data) and has_step
        if tests:
            load(self.best_checkpoint, self.trust)  # refuses before Lightning opens it
        return tests

    def mark(self, target: str) -> object:
        """Return where the files of a logger, named by its class, were when the checkpoint was written."""
        return self.marks.get(target.rpartition(".")[2]) if self.first else None  # one process rewinds them

    def _callback(self, kind: type):
        return next((c for c in self.trainer.callbacks if isinstance(c, kind)), None) if self.trainer else None

    @property
    def best(self) -> dict:
        """Of the best epoch: score, epoch, step, metrics; empty before the first epoch's end."""
        callback = self._callback(BestAndLast)
        return callback.best if callback else {}

    @property
    def score(self) -> float | None:
        """What a sweep compares: the best value of the monitored metric."""
        return self.best.get("score")

    def __exit__(self, kind, error, traceback) -> None:
        terminated = isinstance(error, SystemExit) and error.code == 143  # by SIGTERM, see kindling.cli.entry
        interrupted = isinstance(error, KeyboardInterrupt) or (
            isinstance(error, SystemExit) and (terminated or self.trainer is not None)
        )
        keeper = self._callback(BestAndLast)
        diverged = (watch := self._callback(Divergence)) and watch.diverged
        undefined = UserError(f"monitor={keeper.undefined} {NEVER_DEFINED}") if keeper and keeper.undefined else None
        error = error or (None if diverged else undefined)
        status = "interrupted" if interrupted else "failed" if error else "diverged" if diverged else "finished"
        if not self.first:
            return
        torch.set_num_threads(self.threads)
        if self.resume and error and not (keeper and keeper.saved_at):
            log.info(f"{self.folder} was not gone on with and is as it was")  # the result of before stays
            return
        outcome = self._result(status)
        if diverged:
            outcome["diverged"] = diverged
        if status == "failed":
            outcome["error"] = f"{type(error).__name__}: {error}"
        for callback in self.trainer.callbacks if self.trainer else ():
            if isinstance(callback, Summary):
                said = callback.summary(self.command, self.cfg)
                outcome |= said
                self.sentences += [f"{name:8} {line}" for name, lines in said.items() for line in lines]
        write_json(self.folder / "result.json", outcome)
        self._report(outcome, error)
        if interrupted:
            sys.exit(143 if terminated else 130)  # as a shell reports SIGTERM and Ctrl-C
        if error is undefined is not None:
            raise error

    def _result(self, status: str) -> dict:
        seconds = self.seconds + time.monotonic() - self.started
        epochs = self.trainer.current_epoch if self.trainer else 0
        keeper, tests = self._callback(BestAndLast), self.trainer and self.trainer.state.fn == TrainerFn.TESTING
        tested = test_metrics(self.trainer.callback_metrics) if tests else {}
        watched = (self.best.get("monitor", keeper.monitor), keeper.mode) if keeper else (None, None)
        return result(
            status, seconds, epochs,
            best=self.best, watched=watched, tested=tested, params=self.params, command=self.command,
        )  # fmt: skip

    def _report(self, result: dict, error: BaseException | None) -> None:
        """The end of the HPARAMS session, and the result on the console."""
        if self.trainer:
            for logger in self.trainer.loggers:
                best = best_scalars(result["metrics"])
                if best:
                    logger.log_metrics(best, result["best_epoch"])
                logger.finalize("success" if result["status"] == "finished" else "failed")
                if isinstance(logger, TensorBoard):
                    logger.end_session()
        shown = files.display_path(self.folder)
        if result["metrics"]:
            log.info(table(result["metrics"], result["best_epoch"]))
            if isinstance(self.model, Model) and (note := loss_note(result["metrics"], self.model.target_std)):
                log.info(note)
        for sentence in self.sentences:
            log.info(sentence)
        if result["status"] != "finished" and not isinstance(error, UserError):  # that one is printed at the end
            log.info(f"{result['status']}: {result.get('diverged') or result.get('error') or 'the last state is kept'}")
        if result["status"] == "interrupted" and (self.folder / LAST).exists():
            log.info(f"resume   python train.py resume={shown}")
        log.info(f"folder   {shown}\nagain    {self.command}")
