"""The optimizer step of many members at once, each with its own learning rate, penalties and clipping."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Their step is proportional to the learning rate, and depends on the weights only through weight decay.
LINEAR = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta")


@dataclass
class MemberOptions:
    """The options of the optimizer step in which members may differ."""

    lr: float
    weight_decay: float
    l1: float
    clip: float | None


@dataclass
class OptimizerPart:
    """A slice of members with the same kind of optimizer; `build` makes it from parameters, for any learning rate."""

    members: slice
    build: Callable[..., Optimizer]


class GroupOptimizer(Optimizer):
    """Steps M members at once: torch's optimizers, at learning rate 1 on a matrix of zeros, leave the updates in it.

    Args:
        rows: the weights (M, P).
        members: the options of the M members.
        parts: the kinds of optimizer, in the members' order.
        rates: called once per step, returns the step's learning rates (M,).
        lr_factors: of the learning rate for each value (P,); None: 1.
    """

    def __init__(
        self,
        rows: nn.Parameter,
        members: list[MemberOptions],
        parts: list[OptimizerPart],
        rates: Callable[[], Tensor],
        lr_factors: Tensor | None = None,
    ):
        super().__init__([rows], {"lr": 1.0})
        self.rows, self.rates = rows, rates
        self.lr_factors = None if lr_factors is None else lr_factors.to(rows)
        self.last_rates: Tensor | None = None

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=rows.dtype, device=rows.device)[:, None]

        self.l1 = column([m.l1 for m in members])
        self.clip = column([torch.inf if m.clip is None else m.clip for m in members])
        decay = column([m.weight_decay for m in members])
        decoupled = torch.zeros_like(decay, dtype=torch.bool)
        self.steps = torch.zeros_like(rows)
        self.inner: list[tuple[slice, nn.Parameter, Optimizer]] = []
        for part in parts:
            leaf = nn.Parameter(self.steps[part.members])  # shares the storage of `steps`
            optimizer = part.build([leaf], lr=1.0, weight_decay=0.0)
            decoupled[part.members] = bool(optimizer.defaults.get("decoupled_weight_decay"))
            self.inner.append((part.members, leaf, optimizer))
        self.l2, self.decay = decay * ~decoupled, decay * decoupled
        penalties = {"l1": self.l1, "l2": self.l2, "decay": self.decay}
        self.has = {name: bool((values > 0).any()) for name, values in penalties.items()}
        self.has["clip"] = bool(self.clip.isfinite().any())

    @torch.no_grad()
    def step(  # type: ignore[override]  # torch overloads it
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rows, grad, rates = self.rows, self.rows.grad, self._rates()
        if grad is None:
            raise RuntimeError("step() was called before backward()")
        # In the order of a single run.
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
        """Return the learning rates (M, 1) or (M, P), converted only when a schedule has changed them."""
        now = self.rates()
        if now is not self.last_rates:
            column = now.to(self.rows)[:, None]
            self.last_rates, self.current = now, column if self.lr_factors is None else column * self.lr_factors
        return self.current

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.rows.grad = None

    def state_dict(self) -> dict:
        return {"inner": [optimizer.state_dict() for *_, optimizer in self.inner]}

    def state_of(self, members: Tensor) -> dict:
        """Return the state dict for only these members, given by their indices."""
        inner = []
        for part, _, optimizer in self.inner:
            own = members[(members >= part.start) & (members < part.stop)] - part.start
            if len(own):
                state = optimizer.state_dict()
                state["state"] = {
                    i: {k: v[own] if isinstance(v, Tensor) and v.dim() == 2 else v for k, v in values.items()}
                    for i, values in state["state"].items()
                }
                inner.append(state)
        return {"inner": inner}

    def load_state_dict(self, state_dict: dict) -> None:
        for (*_, optimizer), state in zip(self.inner, state_dict["inner"], strict=True):
            optimizer.load_state_dict(state)
