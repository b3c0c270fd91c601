"""Rules about gradients, units and the learning rate, the most serious first."""

import math
from itertools import pairwise
from statistics import fmean, median

from kindling.doctor.case import (
    DEAD,
    EXPLODING,
    FEW_STEPS,
    FLUCTUATING,
    SATURATED,
    SCALES,
    STILL_FALLING,
    VANISHING,
    Case,
    Finding,
)
from kindling.doctor.settings import faster, slower


def diverged(case: Case) -> Finding | None:
    if not case.diverged or (case.snapshots and not math.isfinite(case.snapshots[0].loss) and case.is_scaled):
        return None  # the loss was not finite even before the first step
    overrides = [f"lr={slower(case):g}"]
    sentence = f"Training diverged ({case.diverged})"
    if not case.is_scaled:
        rate = min(case.run_command.default_lr() or case.lr, 1 / ((case.inputs or 0) + 1))
        return f"{sentence}: the inputs are not scaled.", [("scale=standard", f"lr={rate:.2g}")]
    decay = case.options.get("weight_decay", 0)
    if decay * case.lr >= 1:
        return f"{sentence}: weight_decay={decay:g} at lr={case.lr:g}.", [("weight_decay=0", *overrides)]
    if _is_raw_target(case):
        overrides.append("data.scale_target=standard")
    if _has_large_gradient(case) and case.options.get("init", "default") != "default":
        overrides.append("init=default")
    return f"{sentence}: lr={case.lr:g} is too high.", [tuple(overrides)]


def scales(case: Case) -> Finding | None:
    ratio, widest = case.scales or (0, "")
    if case.options.get("scale") == "none" and ratio > SCALES:
        return (
            f"The standard deviations of the inputs differ by a factor of {ratio:.3g} (should be under {SCALES:g}), "
            f"and {widest} has the largest: no single learning rate suits all weights.",
            [(*_safe_lr(case), "scale=standard")],
        )
    return None


def vanishing(case: Case) -> Finding | None:
    snapshots = [s for s in case.snapshots if len(s.gradients) > 2 and s.gradients[-1] > 0]
    ratio = median(s.gradients[0] / s.gradients[-1] for s in snapshots) if snapshots else 1
    if ratio < VANISHING:
        return (
            f"The gradient vanishes: the first layer's gradient is {ratio:.1e} times the last layer's (should be over "
            f"{VANISHING:g}), so the first layers hardly learn.",
            [("activation=relu", "init=kaiming")] if case.bounded else [("batch_norm=true",), ("depth=2",)],
        )
    return None


def exploding(case: Case) -> Finding | None:
    if not _has_large_gradient(case) or case.diverged:
        return None
    norm = max(s.norm for s in case.snapshots[:3] if math.isfinite(s.norm))
    sentence = f"The gradient explodes: its norm was {norm:.3g} (should be under {EXPLODING:g})"
    if not case.is_scaled:
        return f"{sentence}, because the inputs are not scaled.", [(*_safe_lr(case), "scale=standard")]
    init = case.options.get("init", "default")
    if init == "normal" or init.endswith(".json"):
        return f"{sentence}, with init={init}.", [("init=kaiming",)]
    if _is_raw_target(case):
        return f"{sentence}, because the target is not scaled.", [(*_safe_lr(case), "data.scale_target=standard")]
    if case.score and case.score[0] == "r2" and case.score[1] > FITTED:
        return None  # the gradient was large only at the start
    smaller = (f"lr={slower(case):g}",)
    is_large = case.lr > (case.run_command.default_lr() or case.lr)
    return f"{sentence}.", [smaller] if is_large else [("clip=1",), smaller]


def dead(case: Case) -> Finding | None:
    fraction = case.snapshots[-1].dead if case.snapshots else None
    if fraction is not None and fraction >= DEAD:
        found = f"{fraction:.0%} of the rectified units output 0 for every sample"
        sentence = f"{found} (should be under {DEAD:.0%}) and no longer learn."
        return sentence, [("activation=leaky_relu", *_from_start(case), *_safe_lr(case, 1))]
    return None


def saturated(case: Case) -> Finding | None:
    fractions = [s.saturated for s in case.snapshots if s.saturated is not None]
    if not fractions or median(fractions) <= SATURATED:
        return None
    sentence = (
        f"{median(fractions):.0%} of the activations' outputs are at the limits of their range (should be under "
        f"{SATURATED:.0%}), where the slope is nearly 0"
    )
    if not case.is_scaled:
        return f"{sentence}, because the inputs are not scaled.", [(*_safe_lr(case), "scale=standard")]
    if fractions[0] > SATURATED:
        return f"{sentence}, even at initialization.", [("init=xavier", *_safe_lr(case, 1))]
    return f"{sentence}.", [(f"lr={slower(case):g}",)]


def lr_too_high(case: Case) -> Finding | None:
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    start = case.snapshots[0].loss if case.snapshots else math.nan
    if case.diverged or len(losses) < 5 or not start > 0 or not math.isfinite(start):  # 0 for a perceptron of zeros
        return None
    if case.lr <= (case.run_command.default_lr() or 0) and abs(start - median(losses)) < NEGLIGIBLE * start:
        return None  # this model cannot learn anything from the data
    half = losses[len(losses) // 2 :]
    overrides = (f"lr={slower(case):g}",) if case.is_scaled else (*_safe_lr(case), "scale=standard")
    rise = fmean(max(b - a, 0) for a, b in pairwise(half))
    decrease = max(start - min(losses), 0.0)
    if median(half) > start:
        sentence = f"The training loss is {median(half):.4g}, but was {start:.4g} before training: lr is too high."
        return sentence, [overrides]
    if rise > FLUCTUATING * decrease:
        found = f"The training loss fluctuates: its mean rise per epoch is {rise / decrease:.0%} of its total decrease"
        return f"{found} (should be under {FLUCTUATING:.0%}).", [overrides]
    return None


def lr_too_low(case: Case) -> Finding | None:
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    if case.diverged or len(losses) < 5 or case.best_epoch < 0.95 * len(losses) or losses[-1] == 0:
        return None
    decrease = losses[0] - losses[-1]
    fraction = (losses[int(0.8 * len(losses)) - 1] - losses[-1]) / decrease if decrease > 0 else 0
    if fraction > STILL_FALLING:
        return (
            f"The training loss was still falling: {fraction:.0%} of its decrease came in the last fifth of the epochs "
            f"(should be under {STILL_FALLING:.0%}).",
            _more_progress(case, len(losses)),
        )
    return None


def _more_progress(case: Case, epochs: int) -> list[tuple[str, ...]]:
    rate, longer = faster(case), (f"epochs={3 * epochs}",)
    overrides: list[tuple[str, ...]] = [(f"lr={rate:g}",)] if rate else []
    if case.options.get("batch_size") == "full" and case.steps < FEW_STEPS and case.train_samples > 64:
        overrides.append(("batch_size=32",))
    return [*overrides, longer]


def stalled(case: Case) -> Finding | None:
    """Find a loss (without penalties) that hardly fell or that rose, although the learning rate is not large."""
    start = case.snapshots[0].loss if case.snapshots else math.nan
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    if losses and case.lr <= (case.run_command.default_lr() or 0) and min(losses) > (1 - NEGLIGIBLE) * start > 0:
        return f"The training loss is {losses[-1]:.4g} at the end and was {start:.4g} before training.", []
    return None


def _has_large_gradient(case: Case) -> bool:
    return max((s.norm for s in case.snapshots[:3] if math.isfinite(s.norm)), default=0) > EXPLODING


def _is_raw_target(case: Case) -> bool:
    return case.target_std > 10 and case.run_command.config["data"].get("scale_target") == "none"


def _safe_lr(case: Case, most: float = 10) -> tuple[str, ...]:
    """Return an override with the default learning rate if lr is over `most` times it, or under a hundredth of it."""
    default = case.run_command.default_lr() or case.lr
    return (f"lr={default:g}",) if case.lr > most * default or case.lr < default / 100 else ()


def _from_start(case: Case) -> tuple[str, ...]:
    init = str(case.options.get("init", "default"))
    scale = () if case.is_scaled else ("scale=standard",)
    return (*scale, "init=default") if init.endswith(".json") or init == "normal" else scale


FITTED = 0.98  # R2 above which a regression counts as solved
NEGLIGIBLE = 0.02  # largest change of the loss, relative to that before training, that counts as none
CAUSES = (diverged, scales, vanishing, exploding, dead, saturated, lr_too_high, lr_too_low)
SYMPTOMS = (vanishing, dead, saturated, stalled, lr_too_low)  # symptoms that strong regularization may cause
