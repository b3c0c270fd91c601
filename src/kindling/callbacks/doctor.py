"""Measures while a run trains, and gives its advice when it has ended."""

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import asdict

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from kindling.cli.overrides import choices_of
from kindling.data.base import Data
from kindling.doctor import measurements
from kindling.doctor.case import Case
from kindling.doctor.command import Command
from kindling.doctor.rules import advice
from kindling.models.base import Model
from kindling.models.capture import in_series, some_samples
from kindling.training.checkpoint import best_of
from kindling.training.divergence import Divergence
from kindling.training.summary import Summary

log = logging.getLogger("kindling")


def guarded(hook: Callable) -> Callable:
    """Make of an exception a line of warning: a run is worth more than its advice."""

    @functools.wraps(hook)
    def tries(self: "Doctor", trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            hook(self, trainer, pl_module)
        except Exception as error:
            self.looks = False
            _warn(error)

    return tries


def _warn(error: Exception) -> None:
    log.warning(f"no advice: the doctor failed with {type(error).__name__}: {str(error).partition(chr(10))[0]}")


def examined(trainer: pl.Trainer, model: Model, history: measurements.History, lr: float) -> Case:
    """Return what there is to say of a run that has ended."""
    data, rows, best = trainer.datamodule, trainer.datamodule.samples, best_of(trainer)
    metrics = best.get("metrics", {})
    name = next((name for name in ("accuracy", "r2") if f"val/{name}" in metrics), None)
    hidden = sum(p.dim() > 1 for p in model.parameters()) > 1
    return Case(
        history=history,
        start_lr=lr,
        best_epoch=best.get("epoch") or 0,
        diverged=next((c.diverged for c in trainer.callbacks if isinstance(c, Divergence)), None),
        scales=measurements.scales(data),
        widest=measurements.widest(data),
        class_counts=measurements.class_counts(data, "train"),
        val_class_counts=measurements.class_counts(data, "val"),
        inputs=rows["train"][0].shape[1] if rows["train"][0].dim() == 2 else None,
        score=(name, float(metrics[f"val/{name}"])) if name else None,
        train_samples=len(rows["train"][1]),
        val_samples=len(rows["val"][1]),
        simple=measurements.simple_scores(data),
        bounded=any(type(module) in measurements.LIMITS for module in model.modules()),
        hidden=hidden,
        steepest=None if hidden else measurements.steepest(data),
        target_std=rows["train"][1].std(0).max().item() if data.examples.task == "regression" else 1.0,
    )


class Doctor(pl.Callback, Summary):
    """Examines a `Model` on a `Data`; for any other module it says that it does not."""

    supports_multi_step = True

    def __init__(self):
        self.history, self.case, self.lr, self.looks = measurements.History(), None, 0.0, False

    @guarded
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ours = isinstance(pl_module, Model) and isinstance(trainer.datamodule, Data)
        if not ours:
            log.info("no advice: it needs a kindling.models.base.Model on a kindling.data.base.Data")
        self.looks = ours and trainer.is_global_zero

    @guarded
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.looks and not self.history.looks:  # not resumed
            group = trainer.optimizers[0].param_groups[0]
            self.lr = float(group.get("initial_lr", group["lr"]))
            self._look(trainer, pl_module, 0)

    @guarded
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.looks:
            return
        for losses, name in ((self.history.train_loss, "train/loss"), (self.history.val_loss, "val/loss")):
            losses.append(float(trainer.callback_metrics.get(name, math.nan)))
        if in_series(trainer.current_epoch + 1):
            self._look(trainer, pl_module, trainer.current_epoch + 1)

    @guarded
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.looks and self.history.looks:
            self.case = examined(trainer, pl_module, self.history, lr=self.lr)

    def summary(self, command: str, cfg: DictConfig | None) -> dict[str, list[str]]:
        """Return sentences on a run; none before it has ended."""
        if not self.case:
            return {"advice": []}
        try:
            self.case.command = Command(command, cfg, choices_of(cfg))
            return {"advice": advice(self.case)}
        except Exception as error:  # a result without advice is worth more than none
            _warn(error)
            return {"advice": []}

    def state_dict(self) -> dict:
        return {"lr": self.lr, "history": asdict(self.history)}

    def load_state_dict(self, state_dict: dict) -> None:
        self.lr, kept = state_dict["lr"], state_dict["history"]
        self.history = measurements.History(**kept | {"looks": [measurements.Look(**look) for look in kept["looks"]]})

    def _look(self, trainer: pl.Trainer, model: Model, epoch: int) -> None:
        with torch.autocast(model.device.type, enabled=False):
            self.history.looks.append(measurements.look(model, *some_samples(trainer.datamodule, model), epoch))
