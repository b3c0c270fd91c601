"""Rules about the training itself: gradients, units and step size, the most serious first."""

import math
from itertools import pairwise
from statistics import fmean, median

from kindling.doctor.case import (
    BOUNCING,
    DEAD,
    EXPLODING,
    FEW_STEPS,
    SATURATED,
    SCALES,
    STILL_FALLING,
    VANISHING,
    Case,
    Found,
)
from kindling.doctor.culprits import faster, slower


def diverged(case: Case) -> Found | None:
    if not case.diverged or (case.looks and not math.isfinite(case.looks[0].loss) and case.is_scaled):
        return None  # before the first step it was not finite either
    words = [f"lr={slower(case):g}"]
    sentence = f"Training diverged ({case.diverged})"
    if not case.is_scaled:
        rate = min(case.command.own_lr() or case.lr, 1 / ((case.inputs or 0) + 1))
        return f"{sentence}: the inputs are not scaled.", [("scale=standard", f"lr={rate:.2g}")]
    decay = case.options.get("weight_decay", 0)
    if decay * case.lr >= 1:
        return f"{sentence}: weight_decay={decay:g} at lr={case.lr:g}.", [("weight_decay=0", *words)]
    if _is_raw_target(case):
        words.append("data.scale_target=standard")
    if _is_steep(case) and case.options.get("init", "default") != "default":
        words.append("init=default")
    return f"{sentence}: lr={case.lr:g} is too high.", [tuple(words)]


def scales(case: Case) -> Found | None:
    ratio, widest = case.scales or (0, "")
    if case.options.get("scale") == "none" and ratio > SCALES:
        return (
            f"The inputs' standard deviations differ by a factor of {ratio:.3g} (well: under {SCALES:g}), {widest} has "
            "the largest, so that one step size does not fit all weights.",
            [(*_safe_lr(case), "scale=standard")],
        )


def vanishing(case: Case) -> Found | None:
    looks = [look for look in case.looks if len(look.gradients) > 2 and look.gradients[-1] > 0]
    ratio = median(look.gradients[0] / look.gradients[-1] for look in looks) if looks else 1
    if ratio < VANISHING:
        return (
            f"The gradient vanishes: the first layer's is {ratio:.1e} of the last's (well: over {VANISHING:g}), so "
            "the first layers hardly learn.",
            [("activation=relu", "init=kaiming")] if case.bounded else [("batch_norm=true",), ("depth=2",)],
        )


def exploding(case: Case) -> Found | None:
    if not _is_steep(case) or case.diverged:
        return None
    norm = max(look.norm for look in case.looks[:3] if math.isfinite(look.norm))
    sentence = f"The gradient explodes: its norm was {norm:.3g} (well: under {EXPLODING:g})"
    if not case.is_scaled:
        return f"{sentence}, as the inputs are not scaled.", [(*_safe_lr(case), "scale=standard")]
    init = case.options.get("init", "default")
    if init == "normal" or init.endswith(".json"):
        return f"{sentence}, with init={init}.", [("init=kaiming",)]
    if _is_raw_target(case):
        return f"{sentence}, as the target is not scaled.", [(*_safe_lr(case), "data.scale_target=standard")]
    if case.score and case.score[0] == "r2" and case.score[1] > FITTED:
        return None  # it was steep at the start alone
    less = (f"lr={slower(case):g}",)
    return f"{sentence}.", [less] if case.lr > (case.command.own_lr() or case.lr) else [("clip=1",), less]


def dead(case: Case) -> Found | None:
    share = case.looks[-1].dead if case.looks else None
    if share is not None and share >= DEAD:
        sentence = (
            f"{share:.0%} of the rectified units are 0 for every row (well: under {DEAD:.0%}) and no longer learn."
        )
        return sentence, [("activation=leaky_relu", *_from_start(case), *_safe_lr(case, 1))]


def saturated(case: Case) -> Found | None:
    shares = [look.saturated for look in case.looks if look.saturated is not None]
    if not shares or median(shares) <= SATURATED:
        return None
    sentence = (
        f"{median(shares):.0%} of the activations' outputs are at an end of their range (well: under {SATURATED:.0%}), "
        "where the slope is nearly 0"
    )
    if not case.is_scaled:
        return f"{sentence}, as the inputs are not scaled.", [(*_safe_lr(case), "scale=standard")]
    if shares[0] > SATURATED:
        return f"{sentence}, from the start weights on.", [("init=xavier", *_safe_lr(case, 1))]
    return f"{sentence}.", [(f"lr={slower(case):g}",)]


def lr_too_high(case: Case) -> Found | None:
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    start = case.looks[0].loss if case.looks else math.nan
    if case.diverged or len(losses) < 5 or not start > 0 or not math.isfinite(start):  # 0: a perceptron of zeros
        return None
    if case.lr <= (case.command.own_lr() or 0) and abs(start - median(losses)) < NOTHING * start:
        return None  # there is nothing to learn for this model
    half, words = losses[len(losses) // 2 :], [(f"lr={slower(case):g}",)]
    if not case.is_scaled:
        words = [(*_safe_lr(case), "scale=standard")]
    jumps = fmean(max(b - a, 0) for a, b in pairwise(half))
    fallen = max(start - min(losses), 0.0)
    if median(half) > start:
        return f"The training loss is {median(half):.4g}, but was {start:.4g} before it: lr is too high.", words
    if jumps > BOUNCING * fallen:
        share = jumps / fallen
        return f"The training loss jumps up by {share:.0%} of its fall in an epoch (well: under {BOUNCING:.0%}).", words


def lr_too_low(case: Case) -> Found | None:
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    if case.diverged or len(losses) < 5 or case.best_epoch < 0.95 * len(losses) or losses[-1] == 0:
        return None
    fall = losses[0] - losses[-1]
    share = (losses[int(0.8 * len(losses)) - 1] - losses[-1]) / fall if fall > 0 else 0
    if share > STILL_FALLING:
        return (
            f"The training loss was still falling: {share:.0%} of its fall came in the last fifth of epochs (well: "
            f"under {STILL_FALLING:.0%}).",
            _more_progress(case, len(losses)),
        )


def _more_progress(case: Case, epochs: int) -> list[tuple[str, ...]]:
    rate, longer = faster(case), (f"epochs={3 * epochs}",)
    words = [(f"lr={rate:g}",)] if rate else []
    if case.options.get("batch_size") == "full" and case.steps < FEW_STEPS and case.train_samples > 64:
        words.append(("batch_size=32",))
    return [*words, longer]


def stalled(case: Case) -> Found | None:
    """Find a loss that hardly fell or rose, although the steps are not large: penalties are no part of it."""
    start = case.looks[0].loss if case.looks else math.nan
    losses = [loss for loss in case.history.train_loss if math.isfinite(loss)]
    if losses and case.lr <= (case.command.own_lr() or 0) and min(losses) > (1 - NOTHING) * start > 0:
        return f"The training loss is {losses[-1]:.4g}, and was {start:.4g} before it.", []


def _is_steep(case: Case) -> bool:
    return max((look.norm for look in case.looks[:3] if math.isfinite(look.norm)), default=0) > EXPLODING


def _is_raw_target(case: Case) -> bool:
    return case.target_std > 10 and case.command.config["data"].get("scale_target") == "none"


def _safe_lr(case: Case, most: float = 10) -> tuple[str, ...]:
    """Return the optimizer's own learning rate, where this one is over `most` times of it or far below."""
    own = case.command.own_lr() or case.lr
    return (f"lr={own:g}",) if case.lr > most * own or case.lr < own / 100 else ()


def _from_start(case: Case) -> tuple[str, ...]:
    init = str(case.options.get("init", "default"))
    scale = () if case.is_scaled else ("scale=standard",)
    return (*scale, "init=default") if init.endswith(".json") or init == "normal" else scale


FITTED = 0.98  # r2 from which on a run has learned what it was to learn
NOTHING = 0.02  # of the loss before training, by which it has changed at most
CAUSES = (diverged, scales, vanishing, exploding, dead, saturated, lr_too_high, lr_too_low)
HINDERED = (vanishing, dead, saturated, stalled, lr_too_low)  # what restraints may be behind
