"""What is kept of every member while its group trains: metrics, best and last weights, when and why it ended."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.cli.monitor import TRAIN_LOSS, VAL_LOSS
from kindling.training.divergence import first_infinite, why_diverged, why_too_high
from kindling.training.scores import is_best, is_better, worst

# Steps of members that have ended: so many take longer than forming the group anew, which is about 0.6 s.
ENOUGH_TO_LEAVE = 100_000


class Watch(pl.Callback):
    """Records, best weights, early stopping and divergence of M members, as a single run's callbacks have them.

    A member that has ended is trained on with its group, and nobody looks at it, until half of them have ended:
    then `leaving` is set and training ends, to go on without them.

    Args:
        monitor, mode: as of kindling.training.checkpoint.BestAndLast.
        patience: as of kindling.training.stopping.Patience, or None.
        plausible: the loss of the best constant predictor, as of kindling.training.divergence.Divergence.
        may_leave: whether members may leave.
    """

    def __init__(self, monitor: str, mode: str, patience: int | None, *, plausible: float, may_leave: bool):
        self.may_leave, self.leaving = may_leave, False
        self.monitor, self.mode, self.patience, self.plausible = monitor, mode, patience, plausible
        self.now: dict[str, Tensor] = {}  # of this epoch, name -> (M,), in the columns' order
        # (epochs and room for more, columns, M). In one piece: small tensors that are kept, between large ones that are
        # not, would hold on to half a gigabyte for a thousand members.
        self.table = torch.empty(0, 0, 0, dtype=torch.float64)
        self.columns: list[str] = []
        self.steps: list[int] = []  # optimizer steps taken up to each epoch's end
        self.losses: list[Tensor] = []  # (steps, M) of the epoch
        self.state: dict[str, Tensor | list] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.state:
            rows = pl_module.stack.rows
            m, unknown = len(rows), {"dtype": torch.float64, "device": rows.device}
            self.state = {
                "score": torch.full((m,), worst(self.mode), **unknown),
                "first": torch.full((m,), math.nan, **unknown),
                "best_epoch": torch.zeros(m, dtype=torch.long, device=rows.device),
                "stopped": torch.zeros(m, dtype=torch.long, device=rows.device),  # after this epoch; 0: not yet
                "lowest": torch.full((m,), math.inf, **unknown),  # of the validation losses
                "watched": torch.full((m,), worst(self.mode), **unknown),
                "waited": torch.zeros(m, dtype=torch.long, device=rows.device),
                "diverged": [None] * m,
                "best": [],
                "last": [],
                "counts": [],
            }
        self.state = {k: v.to(pl_module.device) if isinstance(v, Tensor) else v for k, v in self.state.items()}
        if self.leaving or not len(self.going()):  # killed when that was known and not yet done
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx) -> None:
        self.losses.append(outputs["losses"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: value.detach().double() for name, value in trainer.callback_metrics.items()}
        self._record({**metrics, "lr": pl_module.rates.shown()}, trainer.global_step)
        alive = self.state["stopped"] == 0
        self._keep_best(metrics, alive, pl_module)
        over = trainer.current_epoch + 1 == trainer.max_epochs
        stopping = self._impatient(metrics, alive)
        stopping = stopping | self._diverged(metrics[TRAIN_LOSS], alive, stopping | over, trainer=trainer)
        self._keep("last", [pl_module.stack.rows, *pl_module.stack.stacked_buffers], stopping | (alive & over))
        self.state["stopped"][stopping] = trainer.current_epoch + 1
        pl_module.rates.after_epoch(self._of_plateau)
        self.leaving = self.may_leave and self._is_worth_leaving(trainer)
        if self.leaving or not len(self.going()):
            trainer.should_stop = True

    def going(self) -> Tensor:
        """Return the indices of the members that have not ended."""
        return (self.state["stopped"] == 0).nonzero().flatten()

    def _is_worth_leaving(self, trainer: pl.Trainer) -> bool:
        members, going, epoch = len(self.state["stopped"]), len(self.going()), trainer.current_epoch + 1
        steps = (trainer.max_epochs - epoch) * trainer.global_step // epoch  # that are left
        return 0 < going <= members // 2 and (members - going) * steps >= ENOUGH_TO_LEAVE

    def state_dict(self) -> dict:
        table = self.table[: len(self.steps)].clone()
        kept = {"columns": self.columns, "steps": self.steps, "losses": self.losses, "state": self.state}
        return {"table": table, "leaving": self.leaving, **kept}

    def state_of(self, members: Tensor) -> dict:
        """Return the state of a watch over these members (indices) alone."""
        kept = {k: v[members] for k, v in self.state.items() if isinstance(v, Tensor)}
        kept |= {k: [tensor[members] for tensor in self.state[k]] for k in ("best", "last", "counts")}
        kept["diverged"] = [self.state["diverged"][m] for m in members.tolist()]
        table = self.table[: len(self.steps), :, members.cpu()]
        return {**self.state_dict(), "leaving": False, "table": table, "state": kept}

    def load_state_dict(self, state_dict: dict) -> None:
        self.table, self.columns, self.steps = state_dict["table"], state_dict["columns"], state_dict["steps"]
        self.losses, self.state, self.leaving = state_dict["losses"], state_dict["state"], state_dict["leaving"]

    def _record(self, values: dict[str, Tensor], step: int) -> None:
        self.now, self.columns = values, list(values)
        row, epoch = torch.stack([value.cpu() for value in values.values()]), len(self.steps)
        if epoch == len(self.table):
            room = torch.empty(max(16, epoch), *row.shape, dtype=torch.float64)
            self.table = torch.cat([self.table, room]) if epoch else room
        self.table[epoch] = row
        self.steps.append(step)

    def _of_plateau(self, schedule) -> Tensor | None:
        return self.now.get(schedule.monitor if VAL_LOSS in self.now else TRAIN_LOSS)

    def _keep_best(self, metrics: dict[str, Tensor], alive: Tensor, module: pl.LightningModule) -> None:
        validated = self.monitor in metrics
        if not validated and (VAL_LOSS in metrics or self.monitor != VAL_LOSS):
            raise UserError(f"monitor={self.monitor} was not logged. Logged: {', '.join(metrics)}.")
        score = metrics[self.monitor if validated else TRAIN_LOSS]
        losses = [metrics[name] for name in (TRAIN_LOSS, VAL_LOSS) if name in metrics]
        before = self.state["score"] if validated else torch.full_like(score, worst(self.mode))
        better = alive & is_best(score, before, losses, self.mode)
        self.state["score"] = torch.where(better, score, self.state["score"])
        self.state["best_epoch"][better] = len(self.steps)
        self._keep("best", [module.stack.rows, *module.stack.stacked_buffers], better)
        outputs = module.outputs["val" if VAL_LOSS in metrics else "train"]
        counts = module.task.confusion(*outputs)  # (M, C, C)
        self._keep("counts", [] if counts is None else [counts], better)

    def _keep(self, name: str, tensors: list[Tensor], which: Tensor) -> None:
        kept = self.state[name] or [torch.zeros_like(tensor, requires_grad=False) for tensor in tensors]
        shaped = [which.view(-1, *[1] * (tensor.dim() - 1)) for tensor in tensors]
        self.state[name] = [
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
        first, lowest, ending = first.nan_to_num(0.0).tolist(), lowest.tolist(), ending.tolist()
        for m in alive.nonzero().flatten().tolist():
            why = why_diverged(found[m], validated[m], first[m], now=now, step=steps[m])
            ended = why_too_high(found[m], lowest[m], self.plausible) if ending[m] else None
            self.state["diverged"][m] = why or ended
        return alive & torch.tensor([bool(why) for why in self.state["diverged"]], device=loss.device)
