"""Track every member while its group trains: its metrics, best and last weights, and when and why it ended."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS
from kindling.sweeps.grouped.members import Members
from kindling.sweeps.grouped.rates import Schedule
from kindling.training.divergence import first_infinite, why_diverged, why_too_high
from kindling.training.monitored import is_best, is_better, worst

# Minimum number of remaining steps of ended members for which regrouping (about 0.6 s) pays off.
MIN_SAVED_STEPS = 100_000


class Tracker(pl.Callback):
    """Records metrics, keeps best weights, stops early and detects divergence for M members, like a single run does.

    A member that has ended is trained further with its group, and ignored, until half of the members have ended. Then
    `leaving` is set and training ends, so that it can continue without them.

    Args:
        monitor, mode, ties: see kindling.training.checkpoint.BestAndLast.
        patience: see kindling.training.stopping.Patience; None: no early stopping.
        plausible: the loss of the best constant predictor; see kindling.training.divergence.Divergence.
        may_leave: whether members that have ended may leave.
    """

    def __init__(
        self, monitor: str, mode: str, patience: int | None, *, plausible: float, may_leave: bool, ties: str = "first"
    ):
        self.may_leave, self.leaving, self.ties = may_leave, False, ties
        self.monitor, self.mode, self.patience, self.plausible = monitor, mode, patience, plausible
        self.now: dict[str, Tensor] = {}  # the epoch's metrics, name -> (M,), in the order of `columns`
        # (epochs and room for more, columns, M), in one allocation: small tensors that are kept between large temporary
        # ones would fragment memory, by half a gigabyte for a thousand members.
        self.table = torch.empty(0, 0, 0, dtype=torch.float64)
        self.columns: list[str] = []
        self.steps: list[int] = []  # optimizer steps taken up to each epoch's end
        self.losses: list[Tensor] = []  # (steps, M) of the epoch
        self.state: dict[str, Tensor] = {}  # (M,) each
        self.kept: dict[str, list[Tensor]] = {"best": [], "last": [], "counts": []}  # weights; confusion counts
        self.diverged: list[str | None] = []  # for each member, why it has diverged

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.state:
            m, device = len(_members(pl_module).stack.rows), pl_module.device
            self.state = {
                "score": torch.full((m,), worst(self.mode), dtype=torch.float64, device=device),
                "first": torch.full((m,), math.nan, dtype=torch.float64, device=device),
                "best_epoch": torch.zeros(m, dtype=torch.long, device=device),
                "stopped": torch.zeros(m, dtype=torch.long, device=device),  # after this epoch; 0: not yet
                "lowest": torch.full((m,), math.inf, dtype=torch.float64, device=device),  # validation loss
                "watched": torch.full((m,), worst(self.mode), dtype=torch.float64, device=device),
                "waited": torch.zeros(m, dtype=torch.long, device=device),
            }
            self.diverged = [None] * m
        self.state = {k: v.to(pl_module.device) for k, v in self.state.items()}
        if self.leaving or not len(self.active()):  # resumed after it was killed between the decision and its execution
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["losses"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = _members(pl_module)
        metrics = {name: value.detach().double() for name, value in trainer.callback_metrics.items()}
        self._record({**metrics, "lr": module.rates.recorded() * module.main_factor}, trainer.global_step)
        alive = self.state["stopped"] == 0
        self._keep_best(metrics, alive, module)
        over = trainer.current_epoch + 1 == trainer.max_epochs
        stopping = self._impatient(metrics, alive)
        stopping = stopping | self._diverged(metrics[TRAIN_LOSS], alive, stopping | over, trainer=trainer)
        self._keep("last", [module.stack.rows, *module.stack.stacked_buffers], stopping | (alive & over))
        self.state["stopped"][stopping] = trainer.current_epoch + 1
        module.rates.after_epoch(self._watched_by_plateau)
        self.leaving = self.may_leave and self._is_worth_leaving(trainer)
        if self.leaving or not len(self.active()):
            trainer.should_stop = True

    def active(self) -> Tensor:
        """Return the indices of the members that have not ended."""
        return (self.state["stopped"] == 0).nonzero().flatten()

    def _is_worth_leaving(self, trainer: pl.Trainer) -> bool:
        members, active, epoch = len(self.state["stopped"]), len(self.active()), trainer.current_epoch + 1
        remaining = ((trainer.max_epochs or epoch) - epoch) * trainer.global_step // epoch  # steps
        return 0 < active <= members // 2 and (members - active) * remaining >= MIN_SAVED_STEPS

    def state_dict(self) -> dict[str, Any]:
        table = self.table[: len(self.steps)].clone()
        lists = {"columns": self.columns, "steps": self.steps, "losses": self.losses, "diverged": self.diverged}
        return {"table": table, "leaving": self.leaving, "state": self.state, "kept": self.kept, **lists}

    def state_of(self, members: Tensor) -> dict[str, Any]:
        """Return the state dict for only these members, given by their indices."""
        state = {k: v[members] for k, v in self.state.items()}
        kept = {k: [tensor[members] for tensor in tensors] for k, tensors in self.kept.items()}
        diverged = [self.diverged[m] for m in members.tolist()]
        table = self.table[: len(self.steps), :, members.cpu()]
        own = {"table": table, "state": state, "kept": kept, "diverged": diverged}
        return {**self.state_dict(), "leaving": False, **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.table, self.columns, self.steps = state_dict["table"], state_dict["columns"], state_dict["steps"]
        self.losses, self.state, self.kept = state_dict["losses"], state_dict["state"], state_dict["kept"]
        self.leaving, self.diverged = state_dict["leaving"], state_dict["diverged"]

    def _record(self, values: dict[str, Tensor], step: int) -> None:
        self.now, self.columns = values, list(values)
        row, epoch = torch.stack([value.cpu() for value in values.values()]), len(self.steps)
        if epoch == len(self.table):
            room = torch.empty(max(16, epoch), *row.shape, dtype=torch.float64)
            self.table = torch.cat([self.table, room]) if epoch else room
        self.table[epoch] = row
        self.steps.append(step)

    def _watched_by_plateau(self, schedule: Schedule) -> Tensor | None:
        return self.now.get(schedule.monitor if VAL_LOSS in self.now else TRAIN_LOSS)

    def _keep_best(self, metrics: dict[str, Tensor], alive: Tensor, module: Members) -> None:
        validated = self.monitor in metrics
        if not validated and (VAL_LOSS in metrics or self.monitor != VAL_LOSS):
            raise UserError(f"monitor={self.monitor} was not logged. Logged: {', '.join(metrics)}.")
        score = metrics[self.monitor if validated else TRAIN_LOSS]
        losses = [metrics[name] for name in (TRAIN_LOSS, VAL_LOSS) if name in metrics]
        before = self.state["score"] if validated else torch.full_like(score, worst(self.mode))
        better = alive & is_best(score, before, losses, self.mode, self.ties)
        self.state["score"] = torch.where(better, score, self.state["score"])
        self.state["best_epoch"][better] = len(self.steps)
        self._keep("best", [module.stack.rows, *module.stack.stacked_buffers], better)
        outputs = module.outputs["val" if VAL_LOSS in metrics else "train"]
        counts = module.task.confusion(*outputs)  # (M, C, C)
        self._keep("counts", [] if counts is None else [counts], better)

    def _keep(self, name: str, tensors: list[Tensor], which: Tensor) -> None:
        kept = self.kept[name] or [torch.zeros_like(tensor, requires_grad=False) for tensor in tensors]
        shaped = [which.view(-1, *[1] * (tensor.dim() - 1)) for tensor in tensors]
        self.kept[name] = [
            torch.where(w, t.detach(), k.to(t.device)) for w, t, k in zip(shaped, tensors, kept, strict=True)
        ]

    def _impatient(self, metrics: dict[str, Tensor], alive: Tensor) -> Tensor:
        if self.patience is None:
            return torch.zeros_like(alive)
        value = metrics[self.monitor]
        better = is_better(value, self.state["watched"], self.mode)
        self.state["watched"] = torch.where(better, value, self.state["watched"])
        self.state["waited"] = torch.where(better, 0, self.state["waited"] + 1)
        return alive & (self.state["waited"] >= self.patience)

    def _diverged(self, loss: Tensor, alive: Tensor, ending: Tensor, trainer: pl.Trainer) -> Tensor:
        losses, self.losses = torch.cat([part.to(loss.device) for part in self.losses]), []  # (steps, M)
        first = self.state["first"]
        first = torch.where(first.isnan() & loss.isfinite(), loss.clamp(min=self.plausible), first)
        lowest = torch.fmin(self.state["lowest"], self.now.get(VAL_LOSS, self.state["lowest"]))
        self.state["first"], self.state["lowest"] = first, lowest
        now = trainer.current_epoch + 1, trainer.global_step
        steps = (now[1] - len(losses) + first_infinite(losses) + 1).tolist()
        found = torch.where(losses.isfinite().all(0), loss, torch.inf).tolist()
        validated = self.now[VAL_LOSS].tolist() if VAL_LOSS in self.now else [None] * len(found)
        firsts, lowests, endings = first.nan_to_num(0.0).tolist(), lowest.tolist(), ending.tolist()
        for m in alive.nonzero().flatten().tolist():
            why = why_diverged(found[m], validated[m], firsts[m], now=now, step=steps[m])
            at_end = why_too_high(found[m], lowests[m], self.plausible) if endings[m] else None
            self.diverged[m] = why or at_end
        return alive & torch.tensor([bool(why) for why in self.diverged], device=loss.device)


def _members(module: pl.LightningModule) -> Members:
    assert isinstance(module, Members)  # the only module that is trained with this callback
    return module
