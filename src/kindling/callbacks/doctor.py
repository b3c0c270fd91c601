"""Measure a run while it trains, and give advice when it has ended."""

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from kindling.cli.overrides import choices_of
from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of, find_callback
from kindling.doctor import measurements
from kindling.doctor.case import Case
from kindling.doctor.rules import advice
from kindling.doctor.suggested_run import Command
from kindling.models.base import Model
from kindling.models.capture import in_series, some_samples
from kindling.training.checkpoint import best_of
from kindling.training.divergence import Divergence
from kindling.training.summary import Summary

log = logging.getLogger("kindling")


Hook = Callable[["Doctor", pl.Trainer, pl.LightningModule], None]


def guarded(hook: Hook) -> Hook:
    """Turn exceptions of a hook into a warning, so that the run continues without advice."""

    @functools.wraps(hook)
    def guarded_hook(self: "Doctor", trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            hook(self, trainer, pl_module)
        except Exception as error:
            self.examined = None
            _warn(error)

    return guarded_hook


def _warn(error: Exception) -> None:
    log.warning(f"no advice: computing it failed with {type(error).__name__}: {str(error).partition(chr(10))[0]}")


def examine(trainer: pl.Trainer, model: Model, data: Data, history: measurements.History, lr: float) -> Case:
    """Return the measurements of a run that has ended."""
    samples, best, divergence = data.samples, best_of(trainer), find_callback(trainer, Divergence)
    metrics = best.get("metrics", {})
    name = next((name for name in ("accuracy", "r2") if f"val/{name}" in metrics), None)
    hidden = sum(p.dim() > 1 for p in model.parameters()) > 1
    return Case(
        history=history,
        start_lr=lr,
        best_epoch=best.get("epoch") or 0,
        diverged=divergence.diverged if divergence else None,
        scales=measurements.scales(data),
        widest=measurements.widest(data),
        class_counts=measurements.class_counts(data, "train"),
        val_class_counts=measurements.class_counts(data, "val"),
        inputs=samples["train"][0].shape[1] if samples["train"][0].dim() == 2 else None,
        score=(name, float(metrics[f"val/{name}"])) if name else None,
        train_samples=len(samples["train"][1]),
        val_samples=len(samples["val"][1]),
        balanced=data.balance,
        simple={} if data.balance else measurements.simple_scores(data),
        bounded=any(type(module) in measurements.LIMITS for module in model.modules()),
        hidden=hidden,
        curvature=None if hidden else measurements.curvature(data),
        target_std=samples["train"][1].std(0).max().item() if data.examples.task == "regression" else 1.0,
    )


class Doctor(pl.Callback, Summary):
    """Examines a `Model` trained on a `Data`; other modules get no advice."""

    supports_multi_step = True

    def __init__(self) -> None:
        self.history, self.lr = measurements.History(), 0.0
        self.case: Case | None = None
        self.examined: tuple[Model, Data] | None = None  # from the start of training on, None if not examined

    @guarded
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = datamodule_of(trainer)
        if not isinstance(pl_module, Model) or not isinstance(data, Data):
            log.info("no advice: it requires subclasses of kindling.models.base.Model and kindling.data.base.Data")
        elif trainer.is_global_zero:
            self.examined = pl_module, data

    @guarded
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.examined and not self.history.snapshots:  # not resumed
            group = trainer.optimizers[0].param_groups[0]
            self.lr = float(group.get("initial_lr", group["lr"]))
            self._take_snapshot(*self.examined, epoch=0)

    @guarded
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.examined:
            return
        for losses, name in ((self.history.train_loss, "train/loss"), (self.history.val_loss, "val/loss")):
            losses.append(float(trainer.callback_metrics.get(name, math.nan)))
        if in_series(trainer.current_epoch + 1):
            self._take_snapshot(*self.examined, epoch=trainer.current_epoch + 1)

    @guarded
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.examined and self.history.snapshots:
            self.case = examine(trainer, *self.examined, self.history, lr=self.lr)

    def summary(self, command: str, cfg: DictConfig | None) -> dict[str, list[str]]:
        """Return advice on a run that has ended."""
        if not self.case:
            return {"advice": []}
        try:
            self.case.command = Command(command, cfg, choices_of(cfg) if cfg is not None else None)
            return {"advice": advice(self.case)}
        except Exception as error:  # the result is kept without advice
            _warn(error)
            return {"advice": []}

    def state_dict(self) -> dict[str, Any]:
        return {"lr": self.lr, "history": asdict(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lr, kept = state_dict["lr"], state_dict["history"]
        snapshots = [measurements.Snapshot(**values) for values in kept["snapshots"]]
        self.history = measurements.History(**kept | {"snapshots": snapshots})

    def _take_snapshot(self, model: Model, data: Data, epoch: int) -> None:
        with torch.autocast(model.device.type, enabled=False):
            self.history.snapshots.append(measurements.take_snapshot(model, *some_samples(data, model), epoch))
