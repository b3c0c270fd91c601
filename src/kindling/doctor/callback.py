"""Measures while a run trains, and gives its advice when it has ended."""

import logging
import math
from dataclasses import asdict

import pytorch_lightning as pl
import torch

from kindling.checkpoints import best_of
from kindling.data import Data
from kindling.doctor import facts
from kindling.doctor.rules import Case, advice
from kindling.layers import in_series, some_rows
from kindling.models import Model
from kindling.records import AfterEpoch
from kindling.stopping import Divergence

log = logging.getLogger("kindling")


class Doctor(AfterEpoch):
    """Examines a `Model` on a `Data`; for any other module it says that it does not."""

    takes_chunks = True

    def __init__(self):
        self.history, self.case, self.lr = facts.History(), None, 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ours = isinstance(pl_module, Model) and isinstance(trainer.datamodule, Data)
        if not ours:
            log.info("no advice: it needs a kindling.models.Model on a kindling.data.Data")
        self.looks = ours and trainer.is_global_zero

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.looks and not self.history.looks:  # not resumed
            group = trainer.optimizers[0].param_groups[0]
            self.lr = float(group.get("initial_lr", group["lr"]))
            self._look(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.looks:
            return
        for losses, name in ((self.history.train_loss, "train/loss"), (self.history.val_loss, "val/loss")):
            losses.append(float(trainer.callback_metrics.get(name, math.nan)))
        if in_series(trainer.current_epoch + 1):
            self._look(trainer, pl_module, trainer.current_epoch + 1)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.looks and self.history.looks:
            data, rows = trainer.datamodule, trainer.datamodule.rows
            bounded = any(type(module) in facts.ENDS for module in pl_module.modules())
            best = best_of(trainer)
            metrics = {name: float(value) for name, value in best.get("metrics", {}).items()}
            name = next((name for name in ("accuracy", "r2") if f"val/{name}" in metrics), None)
            self.case = Case(
                self.history,
                "",
                self.lr,
                best.get("epoch") or 0,
                next((c.diverged for c in trainer.callbacks if isinstance(c, Divergence)), None),
                data.scale,
                facts.scales(data),
                facts.class_rows(data),
                rows["train"][0].shape[1] if rows["train"][0].dim() == 2 else None,
                (name, metrics[f"val/{name}"]) if name else None,
                len(rows["val"][1]),
                facts.simple_scores(data),
                bounded,
                len(self.history.looks[0].gradients) > 1,
            )

    def said(self, command: str) -> dict[str, list[str]]:
        """Sentences on the run that `command` reproduces; none before it has ended."""
        if not self.case:
            return {"advice": []}
        self.case.command = command
        return {"advice": advice(self.case)}

    def state_dict(self) -> dict:
        return {"lr": self.lr, "history": asdict(self.history)}

    def load_state_dict(self, state_dict: dict) -> None:
        self.lr, kept = state_dict["lr"], state_dict["history"]
        self.history = facts.History(**kept | {"looks": [facts.Look(**look) for look in kept["looks"]]})

    def _look(self, trainer: pl.Trainer, model: Model, epoch: int) -> None:
        with torch.autocast(model.device.type, enabled=False):
            self.history.looks.append(facts.look(model, *some_rows(trainer.datamodule, model), epoch))
