"""Rules about the results and the data."""

import math
from statistics import fmean

from kindling.doctor.case import INCREASE, OVERFIT, RARE, SAMPLES_PER_INPUT, Case, Finding
from kindling.doctor.settings import faster, listed, questionable


def compare_with_simple(case: Case) -> tuple[str, str] | None:
    """Compare the score with those of a constant and a linear model, up to two (binomial) standard errors.

    Returns:
        A sentence, and the name of the simple model that is not beaten; or None.
    """
    if not case.score or not case.simple or not case.val_samples:
        return None
    name, score = case.score
    error = 2 * math.sqrt(max(score * (1 - score), 0) / case.val_samples) if name == "accuracy" else 0.02
    constant, linear = next(iter(case.simple)), list(case.simple)[-1]
    if score < case.simple[linear] - error:
        beaten_by, bound = linear, f"at most {error:.2g} below that"
    elif score < case.simple[constant] + error:
        beaten_by, bound = constant, f"more than {error:.2g} above that"
    else:
        return None
    return (
        f"The model underfits: {name} is {score:.4g} on the validation samples, while {beaten_by} reaches "
        f"{case.simple[beaten_by]:.4g} (should be {bound}).",
        beaten_by,
    )


def underfit(case: Case) -> Finding | None:
    if not (found := compare_with_simple(case)):
        return None
    suspects = questionable(case)
    why = f" Likely cause: {listed(suspects)}." if suspects else ""
    return found[0] + why, _to_learn_more(case, found[1], tuple(suspects.values()))


def _to_learn_more(case: Case, beaten_by: str, suspects: tuple[str, ...]) -> list[tuple[str, ...]]:
    epochs = max(100, 2 * len(case.history.train_loss))
    if case.hidden:
        return [(*suspects, "optimizer=adam", "lr=0.01", f"epochs={epochs}"), (*suspects, "hidden_sizes=[128,128]")]
    rate = faster(case)
    # A model without hidden layers could reach the score of the linear model.
    same = [(*suspects, f"lr={rate:g}")] if rate else [(*suspects, f"epochs={3 * epochs}")]
    return same if beaten_by == "a linear model" else [(*suspects, "model=deep"), *same]


def overfit(case: Case) -> Finding | None:
    losses = [loss for loss in case.history.val_loss if math.isfinite(loss)]
    if len(losses) < 5 or case.diverged or not case.snapshots:
        return None
    lowest = losses.index(min(losses))  # not always the best epoch, which may be that of another metric
    if lowest + 1 > 0.75 * len(losses):
        return None
    last, start, train = fmean(losses[-3:]), case.snapshots[0].loss, case.history.train_loss
    ratio = last / min(losses) if last - min(losses) > INCREASE * start else 1
    weaker: tuple[str, ...] = ("dropout=0.5",) if case.options.get("width", 0) >= WIDE else ("depth=1", "dropout=0.2")
    if ratio > OVERFIT and train[-1] < train[lowest]:
        return (
            f"The model overfits: the validation loss of the last three epochs is {ratio:.2g} times its minimum at "
            f"epoch {lowest + 1} (should be under {OVERFIT:g}), while the training loss kept falling.",
            [weaker, ("weight_decay=0.01",)],
        )
    return None


def rare(case: Case) -> Finding | None:
    counts = case.class_counts or {}
    total = sum(counts.values())
    name = min(counts, key=lambda name: counts[name]) if counts else ""
    scored = min((case.val_class_counts or {"": 0}).values()) > 0 and case.options.get("monitor") in RARE_UNSEEN
    if total and scored and not case.balanced and counts[name] < RARE * total / max(1, len(counts) / 2):
        return (
            f"Only {counts[name] / total:.1%} of the training samples are {name}, so accuracy says little about them.",
            [("data.balance=true", "monitor=val/f1")],
        )
    return None


def few_samples(case: Case) -> Finding | None:
    counts = case.class_counts or {}
    name = min(counts, key=lambda name: counts[name]) if counts else ""
    if not counts or not case.inputs or counts[name] >= SAMPLES_PER_INPUT * case.inputs:
        return None
    folds = min(5, min(n + (case.val_class_counts or {}).get(other, 0) for other, n in counts.items()))
    if folds < 3 or case.options.get("batch_norm"):  # every part must have samples of each class
        return None
    return (
        f"There are only {counts[name]} training samples of {name} for {case.inputs} inputs (should be at least "
        f"{SAMPLES_PER_INPUT} per input): the model may overfit, and its score depends on the split.",
        [("-m", f"folds={folds}")],
    )


RARE_UNSEEN = ("val/loss", "val/accuracy")  # monitored values that a rare class hardly affects
WIDE = 64  # units of a hidden layer that is wide enough for dropout=0.5
OF_DATA = (rare, few_samples)
