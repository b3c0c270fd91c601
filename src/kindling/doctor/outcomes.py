"""Rules about what came out, and about the data."""

import math
from statistics import fmean

from kindling.doctor.case import LOST, OVERFIT, RARE, ROWS_PER_INPUT, Case, Found
from kindling.doctor.culprits import doubtful, faster, listed


def too_little(case: Case) -> tuple[str, str] | None:
    """Compare the score with a constant's and a straight line's, by two standard errors, for an accuracy binomial ones.

    Returns:
        A sentence, and the name of the simple model that is not beaten.
    """
    if not case.score or not case.simple or not case.val_samples:
        return None
    name, score = case.score
    error = 2 * math.sqrt(max(score * (1 - score), 0) / case.val_samples) if name == "accuracy" else 0.02
    constant, line = next(iter(case.simple)), list(case.simple)[-1]
    beaten_by = line if score < case.simple[line] - error else constant
    if score < case.simple[line] - error or score < case.simple[constant] + error:
        return (
            f"It learned too little: {name} is {score:.4g} on the validation rows, {beaten_by} has "
            f"{case.simple[beaten_by]:.4g} (well: more than {error:.2g} above it).",
            beaten_by,
        )


def underfit(case: Case) -> Found | None:
    if not (told := too_little(case)):
        return None
    doubts = doubtful(case)
    why = f" The likely cause: {listed(doubts)}." if doubts else ""
    return told[0] + why, _to_learn_more(case, told[1], tuple(doubts.values()))


def _to_learn_more(case: Case, beaten_by: str, doubts: tuple[str, ...]) -> list[tuple[str, ...]]:
    epochs = max(100, 2 * len(case.history.train_loss))
    if case.hidden:
        return [(*doubts, "optimizer=adam", "lr=0.01", f"epochs={epochs}"), (*doubts, "hidden_sizes=[128,128]")]
    rate = faster(case)
    # A linear model could be that line.
    same = [(*doubts, f"lr={rate:g}")] if rate else [(*doubts, f"epochs={3 * epochs}")]
    return same if beaten_by == "a straight line" else [(*doubts, "model=deep"), *same]


def overfit(case: Case) -> Found | None:
    losses = [loss for loss in case.history.val_loss if math.isfinite(loss)]
    if len(losses) < 5 or not 0 < case.best_epoch <= 0.75 * len(losses) or case.diverged or not case.looks:
        return None
    last, start, train = fmean(losses[-3:]), case.looks[0].loss, case.history.train_loss
    ratio = last / min(losses) if last - min(losses) > LOST * start else 1
    less = ("dropout=0.5",) if case.options.get("width", 0) >= BROAD else ("depth=1", "dropout=0.2")
    if ratio > OVERFIT and train[-1] < train[case.best_epoch - 1]:
        return (
            f"It learned by heart: after epoch {case.best_epoch} the validation loss rose {ratio:.2g}-fold, while the "
            f"training loss fell on (well: under {OVERFIT:g}).",
            [less, ("weight_decay=0.01",)],
        )


def rare(case: Case) -> Found | None:
    rows = case.class_counts or {}
    total = sum(rows.values())
    name = min(rows, key=rows.get) if rows else ""
    scored = min((case.val_class_counts or {"": 0}).values()) > 0 and case.options.get("monitor") in RARE_UNSEEN
    if total and scored and rows[name] < RARE * total / max(1, len(rows) / 2):
        return (
            f"Only {rows[name] / total:.1%} of the training rows are {name}, so that accuracy says little of it.",
            [("monitor=val/f1",)],
        )


def few_samples(case: Case) -> Found | None:
    rows = case.class_counts or {}
    name = min(rows, key=rows.get) if rows else ""
    if not rows or not case.inputs or rows[name] >= ROWS_PER_INPUT * case.inputs:
        return None
    folds = min(5, min(n + (case.val_class_counts or {}).get(of, 0) for of, n in rows.items()))
    if folds < 3 or case.options.get("batch_norm"):  # each part must have samples of every class
        return None
    return (
        f"{rows[name]} training rows of {name} for {case.inputs} inputs are few (well: {ROWS_PER_INPUT} for each "
        "input), so that one split says little.",
        [("-m", f"folds={folds}")],
    )


RARE_UNSEEN = ("val/loss", "val/accuracy")  # monitored values that a rare class hardly moves
BROAD = 64  # units of a hidden layer, of which half may be left out
OF_DATA = (rare, few_samples)
