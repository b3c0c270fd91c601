"""The learning rates of many members, step by step."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class Schedule(Protocol):
    """The attributes of kindling.callbacks.lr_schedule.Schedule, which may be stripped."""

    build: Callable[..., LRScheduler]
    every: str
    monitor: str
    total: str | None


class Rates:
    """Learning rates of M members, step by step, computed by torch's schedulers attached to a dummy parameter.

    Members with equal lr and schedule share a scheduler, except ReduceLROnPlateau, which depends on a member's loss.

    Args:
        steps: total number of optimizer steps.
    """

    def __init__(self, lrs: list[float], schedules: list[Schedule | None], steps: int):
        self.steps, self.taken = steps, 0
        self.by_plateau = [s is not None and issubclass(_scheduler_class(s), ReduceLROnPlateau) for s in schedules]
        keys = [
            (lr, repr(schedule and vars(schedule)), m if plateau else None)
            for m, (lr, schedule, plateau) in enumerate(zip(lrs, schedules, self.by_plateau, strict=True))
        ]
        self.unique = list(dict.fromkeys(keys))
        self.index = torch.tensor([self.unique.index(key) for key in keys])  # (M,), into `schedulers`
        self.members = [keys.index(key) for key in self.unique]  # the first member of each scheduler
        self.schedules = [schedules[m] for m in self.members]
        self.schedulers = [_scheduler(lrs[m], schedules[m], steps) for m in self.members]
        both = zip(self.schedules, self.schedulers, strict=True)
        self.by_step = [scheduler for schedule, (scheduler, _) in both if scheduler and _is_every(schedule, "step")]
        self._read_rates()

    def __call__(self) -> Tensor:
        """Return the rates (M,) of the current step, and advance the schedules by a step."""
        current = self.next
        self.taken += 1
        if self.by_step and self.taken < self.steps:
            for scheduler in self.by_step:
                scheduler.step()
            self._read_rates()
        return current

    def recorded(self) -> Tensor:
        """Return the rates (M,) that single runs record now: those of the optimizer after its step."""
        return self.next

    def after_epoch(self, watched: Callable[[Schedule], Tensor | None]) -> None:
        """Advance the schedules that change once per epoch.

        Args:
            watched: returns the members' values (M,) that a ReduceLROnPlateau schedule monitors, or None.
        """
        for schedule, (scheduler, _), member in zip(self.schedules, self.schedulers, self.members, strict=True):
            if schedule and isinstance(scheduler, ReduceLROnPlateau):
                value = watched(schedule)
                if value is not None:
                    scheduler.step(value[member].item())
            elif scheduler and _is_every(schedule, "epoch"):
                scheduler.step()
        self._read_rates()

    def state_dict(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "schedulers": [
                (scheduler and scheduler.state_dict(), optimizer.param_groups[0]["lr"])
                for scheduler, optimizer in self.schedulers
            ],
        }

    def state_of(self, members: Tensor) -> dict[str, Any]:
        """Return the state dict for only these members, given by their indices."""
        state, kept = self.state_dict(), dict.fromkeys(self.index[members.cpu()].tolist())
        return {**state, "schedulers": [state["schedulers"][i] for i in kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]
        for (scheduler, optimizer), (saved, lr) in zip(self.schedulers, state["schedulers"], strict=True):
            if scheduler is not None:
                scheduler.load_state_dict(saved)
            optimizer.param_groups[0]["lr"] = lr
        self._read_rates()

    def _read_rates(self) -> None:
        rates = [optimizer.param_groups[0]["lr"] for _, optimizer in self.schedulers]
        self.next = torch.tensor(rates, dtype=torch.float64)[self.index]


def _is_every(schedule: Schedule | None, unit: str) -> bool:
    return schedule is not None and schedule.every == unit


def _scheduler_class(schedule: Schedule) -> Any:
    return schedule.build.func if isinstance(schedule.build, partial) else schedule.build


def _scheduler(lr: float, schedule: Schedule | None, steps: int) -> tuple[LRScheduler | None, Optimizer]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=lr)
    if schedule is None:
        return None, optimizer
    scheduler = schedule.build(optimizer, **({schedule.total: steps} if schedule.total else {}))
    optimizer.step()  # otherwise the scheduler warns that its step comes before the optimizer's
    return scheduler, optimizer
