"""The learning rates of many members, step by step."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Rates:
    """Learning rates of all members, step by step: torch's own schedulers on a weight that is never trained.

    Members with the same rate and schedule share one; ReduceLROnPlateau looks at a member's own loss.
    """

    def __init__(self, lrs: list[float], schedules: list[object | None], steps: int):
        self.steps, self.taken = steps, 0
        self.by_plateau = [s is not None and issubclass(kind_of(s), ReduceLROnPlateau) for s in schedules]
        keys = [
            (lr, repr(schedule and vars(schedule)), m if plateau else None)
            for m, (lr, schedule, plateau) in enumerate(zip(lrs, schedules, self.by_plateau, strict=True))
        ]
        self.unique = list(dict.fromkeys(keys))
        self.of = torch.tensor([self.unique.index(key) for key in keys])
        firsts = [keys.index(key) for key in self.unique]
        self.schedules = [schedules[m] for m in firsts]
        self.schedulers = [_scheduler(lrs[m], schedules[m], steps) for m in firsts]
        self.members = firsts
        both = zip(self.schedules, self.schedulers, strict=True)
        self.by_step = [
            scheduler for schedule, (scheduler, _) in both if schedule is not None and schedule.every == "step"
        ]
        self._look()

    def __call__(self) -> Tensor:
        """The rates (M,) of the step that is taken now."""
        current = self.next
        self.taken += 1
        if self.by_step and self.taken < self.steps:
            for scheduler in self.by_step:
                scheduler.step()
            self._look()
        return current

    def shown(self) -> Tensor:
        """The rates that a single run records now: an optimizer's after its step."""
        return self.next

    def after_epoch(self, watched: Callable[[object], Tensor | None]) -> None:
        """Schedules by epochs; `watched` gives all members' values of what a plateau is looked for in."""
        for schedule, (scheduler, _), member in zip(self.schedules, self.schedulers, self.members, strict=True):
            if isinstance(scheduler, ReduceLROnPlateau):
                value = watched(schedule)
                if value is not None:
                    scheduler.step(value[member].item())
            elif schedule is not None and schedule.every == "epoch":
                scheduler.step()
        self._look()

    def state_dict(self) -> dict:
        return {
            "taken": self.taken,
            "schedulers": [
                (scheduler and scheduler.state_dict(), optimizer.param_groups[0]["lr"])
                for scheduler, optimizer in self.schedulers
            ],
        }

    def state_of(self, members: Tensor) -> dict:
        """Return the state of the rates of these members (indices) alone."""
        state, kept = self.state_dict(), dict.fromkeys(self.of[members.cpu()].tolist())
        return {**state, "schedulers": [state["schedulers"][i] for i in kept]}

    def load_state_dict(self, state: dict) -> None:
        self.taken = state["taken"]
        for (scheduler, optimizer), (saved, lr) in zip(self.schedulers, state["schedulers"], strict=True):
            if scheduler is not None:
                scheduler.load_state_dict(saved)
            optimizer.param_groups[0]["lr"] = lr
        self._look()

    def _look(self) -> None:
        rates = [optimizer.param_groups[0]["lr"] for _, optimizer in self.schedulers]
        self.next = torch.tensor(rates, dtype=torch.float64)[self.of]


def kind_of(schedule) -> type:
    """The scheduler's class."""
    return schedule.build.func if isinstance(schedule.build, partial) else schedule.build


def _scheduler(lr: float, schedule: object | None, steps: int) -> tuple:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=lr)
    if schedule is None:
        return None, optimizer
    scheduler = schedule.build(optimizer, **({schedule.total: steps} if schedule.total else {}))
    optimizer.step()  # without, a scheduler warns that it is moved too early
    return scheduler, optimizer
