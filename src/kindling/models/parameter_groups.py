"""Learning rates of some parameters relative to that of the optimizer, e.g. `lr_factors={*.bias: 0.1}`."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from kindling import UserError


def lr_factor_of_each(model: nn.Module, lr_factors: Mapping[str, float]) -> list[float]:
    """Return the factor of each parameter, in the order of `model.parameters()`; 1 where no pattern matches.

    Args:
        model: has the parameters.
        lr_factors: a pattern for names, in which * matches any characters -> a factor. The factors of all patterns that
            match a name are multiplied.

    Raises:
        UserError: a pattern matches no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in lr_factors:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"lr_factors: {pattern} matches no parameter of this model, which has {', '.join(names)}.")
    factors = []
    for name in names:
        factor = 1.0
        for pattern, value in lr_factors.items():
            factor *= value if fnmatchcase(name, pattern) else 1.0
        factors.append(factor)
    return factors


def main_factor(model: nn.Module, lr_factors: Mapping[str, float]) -> float:
    """Return the factor of the first parameter group, which has most of the values; its learning rate is recorded."""
    sizes: dict[float, int] = {}
    for p, factor in zip(model.parameters(), lr_factor_of_each(model, lr_factors), strict=True):
        sizes[factor] = sizes.get(factor, 0) + p.numel()
    return max(sizes, key=sizes.__getitem__, default=1.0)


def optimizer_of(
    model: nn.Module, build: Callable[[Iterable[Any]], Optimizer] | None, lr_factors: Mapping[str, float]
) -> Optimizer:
    """Return the optimizer, with a parameter group for every factor; the key `lr_factor` of a group has its factor.

    Raises:
        UserError: there is no optimizer, or a pattern matches no parameter.
    """
    if build is None:
        raise UserError(
            "This model has no optimizer: create it with optimizer=functools.partial(torch.optim.Adam, lr=...)."
        )
    if not lr_factors:
        return build(model.parameters())
    groups: dict[float, list[nn.Parameter]] = {main_factor(model, lr_factors): []}
    for p, factor in zip(model.parameters(), lr_factor_of_each(model, lr_factors), strict=True):
        groups.setdefault(factor, []).append(p)
    optimizer = build([{"params": parameters, "lr_factor": factor} for factor, parameters in groups.items()])
    for group in optimizer.param_groups:
        group["lr"] *= group["lr_factor"]
    return optimizer
