"""Compare a model's gradient with differences of its loss.

It takes the arguments of train.py. At the start weights, in float64 and in evaluation mode (batch norm by its kept
means, no dropout), autograd's gradient of the training loss of some training rows is compared, weight by weight, with
the central difference (f(x + h) - f(x - h)) / 2h. Exit code 1 where they differ by more than a millionth.
"""

import logging
import math
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import program
from kindling.cli.build import build

log = logging.getLogger("kindling")

USAGE = "python -m kindling gradient_check <arguments of train.py>"

H = 1e-5  # rounding's share of the difference is then about 2e-11 of the loss, the third derivative's 2e-11 of it
WRONG = 1e-6  # relative error
FLOOR = 1e-3  # of the loss: a smaller gradient is compared with that, as rounding is 1e-8 of it and more of less
ROWS = 8  # few, as with more a kink is passed more often
MOST = 200  # weights of a tensor, drawn at random where it has more


class Checked(NamedTuple):
    """A tensor's outcome."""

    name: str
    weights: int  # that it has
    checked: int
    kinks: int  # of those: weights with a kink within h, where no difference shows the derivative
    error: float  # the largest relative one of the others


def central(f: Callable[[float], float], x: float, h: float = H) -> float:
    """The slope of f at x, by what f is on both sides."""
    return (f(x + h) - f(x - h)) / (2 * h)


def check(model, x, y, most: int = MOST) -> list[Checked]:
    """Check every parameter of the model, which becomes float64, in evaluation mode.

    Args:
        x, y: rows as the model is given them in training, (N, *input_shape) and as its task wants them.
        most: weights of a tensor that are checked.
    """
    import torch  # here, as a typing error is refused before it is loaded

    model.double().eval()
    x, y = (t.double() if t.is_floating_point() else t for t in (x, y))
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.enable_grad():
        loss = model.training_loss(model(x), y)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    floor = FLOOR * abs(loss.item()) or FLOOR
    generator, done = torch.Generator().manual_seed(0), []
    for (name, p), gradient in zip(parameters.items(), found, strict=True):
        gradient = torch.zeros_like(p) if gradient is None else gradient  # the loss does not depend on it
        errors, chosen = [], torch.randperm(p.numel(), generator=generator)[:most]
        for place in zip(*(axis.tolist() for axis in torch.unravel_index(chosen, p.shape)), strict=True):
            f = _along(model, x, y, p=p, place=place)
            errors.append(_error(f, p[place].item(), gradient[place].item(), floor=floor))
        smooth = [error for error in errors if error is not None]
        done.append(
            Checked(name, p.numel(), len(errors), kinks=len(errors) - len(smooth), error=max(smooth, default=0.0))
        )
    return done


def _along(model, x, y, p, place: tuple[int, ...]) -> Callable[[float], float]:
    """The loss as a function of one weight."""
    import torch

    def f(value: float) -> float:
        with torch.no_grad():
            before = p[place].item()
            p[place] = value
            loss = model.training_loss(model(x), y).item()
            p[place] = before
        return loss

    return f


def _error(f: Callable[[float], float], x: float, gradient: float, floor: float) -> float | None:
    """The relative error of the gradient, or None where a kink within h explains it."""
    apart = abs(gradient - (slope := central(f, x)))
    error = apart / max(abs(gradient), abs(slope), floor)
    if math.isnan(error):
        return math.inf
    if error <= WRONG:
        return error
    # Of a smooth f the second difference falls to a quarter with half of h, of one with a kink or a jump it does not.
    # A kink by which the slopes on both sides differ moves the central difference by its second difference over 2h.
    kink = abs(_second(f, x, H) - 4 * _second(f, x, H / 2))
    return None if kink > 2 * H * apart / 10 else error


def _second(f: Callable[[float], float], x: float, h: float) -> float:
    return f(x + h) - 2 * f(x) + f(x - h)


def report(done: list[Checked]) -> tuple[list[str], bool]:
    """A line for every tensor and one with the verdict; and whether every gradient is right."""
    left = max(map(len, (one.name for one in done))) + 2
    lines = [f"{'tensor':{left}}{'checked':>16}{'at a kink':>12}{'largest relative error':>25}"]
    for name, weights, checked, kinks, error in done:
        lines.append(f"{name:{left}}{f'{checked:,} of {weights:,}':>16}{kinks:>12}{error:>25.1e}")
    worst = max(done, key=lambda one: one.error)
    checked, kinks = sum(one.checked for one in done), sum(one.kinks for one in done)
    if worst.error > WRONG:
        return [*lines, f"WRONG: the gradient of {worst.name} is off by {worst.error:.1e}, over {WRONG:.0e}"], False
    if checked == kinks:
        return [*lines, "WRONG: every weight is at a kink, so nothing was compared"], False
    said = f"right: {checked - kinks:,} derivatives differ by at most {worst.error:.1e}, under {WRONG:.0e}"
    return [*lines, said + (f"; {kinks} at a kink have none to compare" if kinks else "")], True


def check_gradients(cfg: DictConfig) -> None:
    from kindling.data.base import Data
    from kindling.models.base import Model
    from kindling.models.capture import some_samples
    from kindling.training.load import data_and_model
    from kindling.training.quiet import silence

    silence(cfg.verbose)
    data, model = data_and_model(cfg)
    if not isinstance(model, Model) or not isinstance(data, Data):
        raise UserError(
            "gradient_check is for a kindling.models.base.Model with a kindling.data.base.Data: choose such ones."
        )
    if cfg.callbacks.get("init") and (start := build(cfg.callbacks.init)):
        start.setup(None, model, "fit")
    x, y = some_samples(data, model.double(), ROWS)
    weights = sum(p.numel() for p in model.parameters())
    log.info(f"{len(y)} training rows, {type(model).__name__} with {weights:,} parameters, float64, h = {H:g}")
    lines, right = report(check(model, x, y))
    log.info("\n".join(lines))
    if not right:
        sys.exit(1)


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Hydra wants one; nothing is kept
        program.run(check_gradients, words, folder)
