"""Compare a model's gradient with finite differences of its loss.

It takes the arguments of train.py. At the initial weights, in float64 and evaluation mode (running statistics in batch
norm, no dropout), autograd's gradient of the training loss of a few training samples is compared, weight by weight,
with the central difference (f(x + h) - f(x - h)) / 2h. The exit code is 1 if a relative error exceeds a millionth.
"""

import logging
import math
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import program
from kindling.cli.build import build

if TYPE_CHECKING:
    from torch import Tensor

    from kindling.models.base import Model

log = logging.getLogger("kindling")

USAGE = "python -m kindling gradient_check <arguments of train.py>"

H = 1e-5  # rounding and truncation (third derivative) each cause errors of about 2e-11 of the loss
WRONG = 1e-6  # relative error
FLOOR = 1e-3  # times the loss: errors of smaller gradients are relative to this, because rounding is 1e-8 of it
SAMPLES = 8  # few, because with more samples a weight is closer to a kink
MAX_WEIGHTS = 200  # checked per tensor, chosen at random if it has more


class Checked(NamedTuple):
    """The result for one tensor."""

    name: str
    weights: int  # their number
    checked: int  # number of checked weights
    kinks: int  # number of checked weights with a kink within h, where a finite difference is no derivative
    error: float  # largest relative error of the other weights


def central_difference(f: Callable[[float], float], x: float, h: float = H) -> float:
    return (f(x + h) - f(x - h)) / (2 * h)


def check(model: "Model", x: "Tensor", y: "Tensor", max_weights: int = MAX_WEIGHTS) -> list[Checked]:
    """Check every parameter of the model, which is converted to float64 and evaluation mode.

    Args:
        x: inputs as in training, (N, *input_shape).
        y: targets as in training.
        max_weights: how many weights of a tensor are checked.
    """
    import torch  # imported here, so that invalid arguments are rejected before

    model.double().eval()
    x, y = (t.double() if t.is_floating_point() else t for t in (x, y))
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.enable_grad():
        loss = model.training_loss(model(x), y)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    floor = FLOOR * abs(loss.item()) or FLOOR
    generator, done = torch.Generator().manual_seed(0), []
    for (name, p), gradient in zip(parameters.items(), found, strict=True):
        gradient = torch.zeros_like(p) if gradient is None else gradient  # the loss does not depend on p
        errors, chosen = [], torch.randperm(p.numel(), generator=generator)[:max_weights]
        for place in zip(*(axis.tolist() for axis in torch.unravel_index(chosen, p.shape)), strict=True):
            f = _loss_along(model, x, y, p=p, place=place)
            errors.append(_error(f, p[place].item(), gradient[place].item(), floor=floor))
        smooth = [error for error in errors if error is not None]
        done.append(
            Checked(name, p.numel(), len(errors), kinks=len(errors) - len(smooth), error=max(smooth, default=0.0))
        )
    return done


def _loss_along(
    model: "Model", x: "Tensor", y: "Tensor", p: "Tensor", place: tuple[int, ...]
) -> Callable[[float], float]:
    """Return the loss as a function of one weight."""
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
    """Return the relative error of the gradient, or None if a kink within h explains it."""
    difference = abs(gradient - (slope := central_difference(f, x)))
    error = difference / max(abs(gradient), abs(slope), floor)
    if math.isnan(error):
        return math.inf
    if error <= WRONG:
        return error
    # With half of h the second difference of a smooth f falls to a quarter, but not that of an f with a kink or jump.
    # A kink changes the central difference by at most the second difference over 2h.
    kink = abs(_second_difference(f, x, H) - 4 * _second_difference(f, x, H / 2))
    return None if kink > 2 * H * difference / 10 else error


def _second_difference(f: Callable[[float], float], x: float, h: float) -> float:
    return f(x + h) - 2 * f(x) + f(x - h)


def report(done: list[Checked]) -> tuple[list[str], bool]:
    """Return a line for every tensor and one with the verdict, and whether every gradient is correct."""
    left = max(map(len, (one.name for one in done))) + 2
    lines = [f"{'tensor':{left}}{'checked':>16}{'at a kink':>12}{'largest relative error':>25}"]
    for name, weights, checked, kinks, error in done:
        lines.append(f"{name:{left}}{f'{checked:,} of {weights:,}':>16}{kinks:>12}{error:>25.1e}")
    worst = max(done, key=lambda one: one.error)
    checked, kinks = sum(one.checked for one in done), sum(one.kinks for one in done)
    if worst.error > WRONG:
        why = f"has a relative error of {worst.error:.1e}, more than {WRONG:.0e}"
        return [*lines, f"WRONG: the gradient of {worst.name} {why}"], False
    if checked == kinks:
        return [*lines, "WRONG: every weight is at a kink, so no gradient could be compared"], False
    verdict = f"correct: {checked - kinks:,} derivatives have relative errors of at most {worst.error:.1e}"
    return [*lines, verdict + (f"; {kinks} weights at a kink were not compared" if kinks else "")], True


def check_gradients(cfg: DictConfig) -> None:
    from kindling.data.base import Data
    from kindling.models.base import Model
    from kindling.models.capture import some_samples
    from kindling.training.quiet import silence
    from kindling.training.run_folder import data_and_model

    silence(cfg.verbose)
    data, model = data_and_model(cfg)
    if not isinstance(model, Model) or not isinstance(data, Data):
        raise UserError(
            "gradient_check requires subclasses of kindling.models.base.Model and kindling.data.base.Data: choose "
            "another model or data set."
        )
    if cfg.callbacks.get("init") and (init := build(cfg.callbacks.init)):
        init.setup(None, model, "fit")
    x, y = some_samples(data, model.double(), SAMPLES)
    weights = sum(p.numel() for p in model.parameters())
    log.info(f"{len(y)} training samples, {type(model).__name__} with {weights:,} parameters, float64, h = {H:g}")
    lines, is_correct = report(check(model, x, y))
    log.info("\n".join(lines))
    if not is_correct:
        sys.exit(1)


def main(args: list[str]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Hydra needs an output folder
        program.run(check_gradients, args, folder)
