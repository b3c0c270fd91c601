"""What ails a run, in words: a rule is a bound with its source, a sentence with its number, and a command to try."""

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median

from kindling.doctor.facts import History

MOST = 5  # sentences
# Bounds. Without a source named it is a choice, between the runs of tests/test_doctor.py that are well and ill.
VANISHING = 1e-3  # first layer's gradient over the last's; Glorot and Bengio 2010, figure 7, where it falls 10-fold
EXPLODING = 100.0  # norm of the gradient; Pascanu et al. 2013 clip at 1 to 10
DEAD = 0.4  # share of rectified units; Karpathy, notes of Stanford's CS231n, "as much as 40%"
SATURATED = 0.7  # share of outputs at an end of their range, of activations that are bounded; Glorot and Bengio 2010
SCALES = 30.0  # of standard deviations: the loss is then 30 * 30 times as steep one way; LeCun et al. 1998, 4.3
BOUNCING = 0.05  # mean rise of the training loss an epoch, over what it has fallen in all
STILL_FALLING = 0.15  # share of the fall in the last fifth of epochs: a straight line has 0.2
OVERFIT = 1.3  # last validation loss over the best
LOST = 0.05  # of the loss before training, by which validation has become worse at least
RARE = 0.1  # share of the smallest class in the training rows; Google's Rules of ML: 1 to 20 % is moderate imbalance
ROWS_PER_INPUT = 10  # of the smallest class; Peduzzi et al. 1996, "events per variable"


@dataclass
class Case:
    """A run that has ended.

    command: that reproduces it; scores: "accuracy" or "r2" of the best epoch's validation rows and of simple models.
    """

    history: History
    command: str
    lr: float
    best_epoch: int = 0
    diverged: str | None = None
    scale: str = "standard"
    scales: tuple[float, str] | None = None  # largest over smallest standard deviation of an input, and whose it is
    class_rows: dict[str, int] | None = None
    inputs: int | None = None  # columns of a table
    score: tuple[str, float] | None = None
    val_rows: int = 0
    simple: dict[str, float] = field(default_factory=dict)
    bounded: bool = False  # whether its activations are
    hidden: bool = True  # whether it has hidden layers


def advice(case: Case) -> list[str]:
    """At most five sentences, the most serious first; a symptom is left out where its cause is named."""
    if case.lr == 0:
        return [f"The step size lr is 0, so nothing was learnt. Try: {with_words(case.command, 'lr=0.01')}"]
    found: list[str] = []
    for rule in CAUSES:
        found += _said(rule, case)
    for rule in SYMPTOMS if not found else ():
        found += _said(rule, case)
    for rule in OTHERS:
        found += _said(rule, case)
    return found[:MOST]


def _said(rule: Callable, case: Case) -> list[str]:
    told = rule(case)
    return [f"{told[0]} Try: {with_words(case.command, *told[1:])}"] if told else []


def with_words(command: str, *words: str) -> str:
    """The command with these words in place of those of the same knobs."""
    knobs = {word.split("=", 1)[0] for word in words}
    kept = [word for word in shlex.split(command) if word.split("=", 1)[0] not in knobs]
    sweep = [word for word in words if word == "-m"]
    return shlex.join([*kept[:2], *sweep, *kept[2:], *(word for word in words if word != "-m")])


def diverged(case: Case):
    if case.diverged:
        return f"Training diverged ({case.diverged}).", f"lr={case.lr / 10:.3g}"


def scales(case: Case):
    ratio, widest = case.scales or (0, "")
    if case.scale == "none" and ratio > SCALES:
        return (
            f"The inputs' standard deviations differ by a factor of {ratio:.3g} (well: under {SCALES:g}), {widest} has "
            "the largest, so that one step size does not fit all weights.",
            "scale=standard",
        )


def vanishing(case: Case):
    looks = [look for look in case.history.looks if len(look.gradients) > 2 and look.gradients[-1] > 0]
    ratio = median(look.gradients[0] / look.gradients[-1] for look in looks) if looks else 1
    if ratio < VANISHING:
        return (
            f"The gradient vanishes: the first layer's is {ratio:.1e} of the last's (well: over {VANISHING:g}), so "
            "the first layers hardly learn.",
            *(("activation=relu", "init=kaiming") if case.bounded else ("batch_norm=true",)),
        )


def exploding(case: Case):
    norm = max((look.norm for look in case.history.looks[:3] if math.isfinite(look.norm)), default=0)
    if norm > EXPLODING and not case.diverged:
        return f"The gradient explodes: its norm was {norm:.3g} (well: under {EXPLODING:g}).", "clip=1"


def dead(case: Case):
    share = case.history.looks[-1].dead if case.history.looks else None
    if share is not None and share >= DEAD:
        return (
            f"{share:.0%} of the rectified units are 0 for every row (well: under {DEAD:.0%}) and no longer learn.",
            "activation=leaky_relu",
            f"lr={case.lr / 10:.3g}",
        )


def saturated(case: Case):
    shares = [look.saturated for look in case.history.looks if look.saturated is not None]
    if shares and median(shares) > SATURATED:
        return (
            f"{median(shares):.0%} of the activations' outputs are at an end of their range (well: under "
            f"{SATURATED:.0%}), where the slope is nearly 0.",
            # Large weights at the start, or steps that made them so.
            "init=xavier" if shares[0] > SATURATED else f"lr={case.lr / 10:.3g}",
        )


def lr_too_high(case: Case):
    losses, looks = [loss for loss in case.history.train_loss if math.isfinite(loss)], case.history.looks
    if case.diverged or len(losses) < 5 or not looks:
        return None
    start, half = looks[0].loss, losses[len(losses) // 2 :]
    if start == 0:  # a perceptron of zeros
        return None
    jumps = fmean(max(b - a, 0) for a, b in pairwise(half))
    fallen = max(start - min(losses), 0.0)
    if median(half) > start or jumps > BOUNCING * fallen:
        words = f"lr={case.lr / 10:.3g}"
        if median(half) > start:
            return (
                f"The training loss is {median(half):.4g}, but was {start:.4g} before it: lr is too high.",
                words,
            )
        share = jumps / fallen
        return f"The training loss jumps up by {share:.0%} of its fall in an epoch (well: under {BOUNCING:.0%}).", words


def lr_too_low(case: Case):
    losses, looks = [loss for loss in case.history.train_loss if math.isfinite(loss)], case.history.looks
    if len(losses) < 5 or not looks or case.best_epoch < 0.95 * len(losses) or losses[-1] == 0:
        return None
    fall = losses[0] - losses[-1]
    share = (losses[int(0.8 * len(losses)) - 1] - losses[-1]) / fall if fall > 0 else 0
    if share > STILL_FALLING:
        return (
            f"The training loss was still falling: {share:.0%} of its fall came in the last fifth of epochs (well: "
            f"under {STILL_FALLING:.0%}).",
            f"lr={case.lr * 10:.3g}",
        )


def underfit(case: Case):
    """By two standard errors, for an accuracy those of a binomial share, against a constant and a straight line."""
    if not case.score or not case.simple or not case.val_rows:
        return None
    name, score = case.score
    error = 2 * math.sqrt(max(score * (1 - score), 0) / case.val_rows) if name == "accuracy" else 0.02
    constant, line = next(iter(case.simple)), list(case.simple)[-1]
    beaten_by = line if score < case.simple[line] - error else constant
    if score < case.simple[line] - error or score < case.simple[constant] + error:
        return (
            f"It learned too little: {name} is {score:.3f} on the validation rows, {beaten_by} has "
            f"{case.simple[beaten_by]:.3f} (well: more than {error:.2g} above it).",
            *_words_to_learn_more(case, beaten_by),
        )


def _words_to_learn_more(case: Case, beaten_by: str) -> tuple[str, ...]:
    if case.hidden:
        return "optimizer=adam", "lr=0.01", "epochs=100"
    # A linear model could be that line.
    return (f"lr={case.lr * 10:.3g}",) if beaten_by == "a straight line" else ("model=deep",)


def overfit(case: Case):
    losses = [loss for loss in case.history.val_loss if math.isfinite(loss)]
    if len(losses) < 5 or not 0 < case.best_epoch <= 0.75 * len(losses) or case.diverged:
        return None
    last, start, train = fmean(losses[-3:]), case.history.looks[0].loss, case.history.train_loss
    ratio = last / min(losses) if last - min(losses) > LOST * start else 1
    if ratio > OVERFIT and train[-1] < train[case.best_epoch - 1]:
        return (
            f"It learned by heart: after epoch {case.best_epoch} the validation loss rose {ratio:.2g}-fold, while the "
            f"training loss fell on (well: under {OVERFIT:g}).",
            "patience=10",
        )


def rare(case: Case):
    rows = case.class_rows or {}
    total = sum(rows.values())
    if total and min(rows.values()) < RARE * total / max(1, len(rows) / 2):
        name = min(rows, key=rows.get)
        return (
            f"Only {rows[name] / total:.1%} of the training rows are {name}, so that accuracy says little of it.",
            "monitor=val/f1",
        )


def few_rows(case: Case):
    rows = case.class_rows or {}
    if rows and case.inputs and 0 <= min(rows.values()) < ROWS_PER_INPUT * case.inputs:
        name = min(rows, key=rows.get)
        return (
            f"{rows[name]} training rows of {name} for {case.inputs} inputs are few (well: {ROWS_PER_INPUT} for each "
            "input), so that one split says little.",
            "-m",
            "folds=5",
        )


CAUSES = (diverged, scales, vanishing, exploding, dead, saturated, lr_too_high, lr_too_low)
SYMPTOMS = (underfit,)
OTHERS = (overfit, rare, few_rows)
