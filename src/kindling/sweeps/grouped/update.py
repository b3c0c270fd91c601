"""The optimizer step of many members at once, each with its own learning rate, penalties and clipping."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

# A step that is the learning rate times something, and the something knows the weights by their decay alone.
LINEAR = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta")


@dataclass
class Member:
    """What a member may have for itself."""

    seed: int
    lr: float
    weight_decay: float
    l1: float
    clip: float | None


@dataclass
class Part:
    """Members `members` with the same kind of optimizer; `build` makes it from parameters, at any learning rate."""

    members: slice
    build: Callable[..., Optimizer]


class Update(Optimizer):
    """Torch's own optimizers, at learning rate 1, on a matrix of zeros: what they leave there is the step.

    Args:
        rows: the weights (M, P).
        members: M of them.
        parts: kinds of optimizer, in order.
        rates: learning rates (M,) of the next step, called once a step.
    """

    def __init__(self, rows: nn.Parameter, members: list[Member], parts: list[Part], rates: Callable[[], Tensor]):
        super().__init__([rows], {"lr": 1.0})
        column = {"dtype": rows.dtype, "device": rows.device}
        self.rows, self.rates, self.column = rows, rates, column
        self.last_rates: Tensor | None = None
        self.l1 = torch.tensor([[m.l1] for m in members], **column)
        self.clip = torch.tensor([[torch.inf if m.clip is None else m.clip] for m in members], **column)
        decay = torch.tensor([[m.weight_decay] for m in members], **column)
        decoupled = torch.zeros_like(decay, dtype=torch.bool)
        self.steps = torch.zeros_like(rows)
        self.inner: list[tuple[slice, nn.Parameter, Optimizer]] = []
        for part in parts:
            leaf = nn.Parameter(self.steps[part.members])  # shares its storage
            optimizer = part.build([leaf], lr=1.0, weight_decay=0.0)
            decoupled[part.members] = bool(optimizer.defaults.get("decoupled_weight_decay"))
            self.inner.append((part.members, leaf, optimizer))
        self.l2, self.decay = decay * ~decoupled, decay * decoupled
        penalties = {"l1": self.l1, "l2": self.l2, "decay": self.decay}
        self.has = {name: bool((values > 0).any()) for name, values in penalties.items()}
        self.has["clip"] = bool(self.clip.isfinite().any())

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rows, grad, rates = self.rows, self.rows.grad, self._rates()
        # In the order in which a single run meets them.
        if self.has["l1"]:
            grad.add_(self.l1 * rows.sign())
        if self.has["clip"]:
            grad.mul_((self.clip / (grad.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0))
        if self.has["l2"]:
            grad.add_(self.l2 * rows)
        for part, leaf, optimizer in self.inner:
            leaf.grad = grad[part]
            optimizer.step()
        if self.has["decay"]:
            rows.mul_(1 - rates * self.decay)
        rows.addcmul_(self.steps, rates)
        self.steps.zero_()
        return loss

    def _rates(self) -> Tensor:
        """(M, 1); made anew only when a schedule has moved them."""
        now = self.rates()
        if now is not self.last_rates:
            self.last_rates, self.rate_column = now, now.to(**self.column)[:, None]
        return self.rate_column

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.rows.grad = None

    def state_dict(self) -> dict:
        return {"inner": [optimizer.state_dict() for *_, optimizer in self.inner]}

    def load_state_dict(self, state_dict: dict) -> None:
        for (*_, optimizer), state in zip(self.inner, state_dict["inner"], strict=True):
            optimizer.load_state_dict(state)


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
