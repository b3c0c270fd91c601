"""Splits into training, validation and test samples, by shares or for a cross-validation."""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.examples import Examples

log = logging.getLogger("kindling")

RARE = 3  # in a stratified split, classes with fewer samples go to the training set only


@dataclass
class Split:
    """Assigns the samples to the stages.

    Args:
        val_share: fraction of the samples used for validation.
        test_share: fraction used for testing; ignored if the data set has its own test samples.
        folds: number of parts for a cross-validation of the samples that are not for testing; None: by val_share.
        fold: the part, counted from 0, that is used for validation.
        seed: seed of the random order.
        stratify: "auto" gives every stage the same share of each class, unless there are groups or times; False: at
            random. Folds are always stratified.

    Raises:
        UserError: the arguments are invalid for any data set.
    """

    val_share: float
    test_share: float
    folds: int | None
    fold: int
    seed: int
    stratify: str | bool

    def __post_init__(self) -> None:
        used = self.test_share if self.folds is not None else self.val_share + self.test_share
        if not (self.val_share >= 0 and self.test_share >= 0 and used < 1):
            raise UserError(
                f"data.val_share={self.val_share} and data.test_share={self.test_share} must be at least 0 and less "
                "than 1 in total."
            )
        if self.stratify not in ("auto", False):
            raise UserError(f"data.stratify={self.stratify} is invalid: choose auto or false.")
        if self.folds is None and self.fold == 0:
            return
        if self.folds is None:
            fold = self.fold
            raise UserError(f"data.fold={fold} needs data.folds=..., the number of folds: add it, or remove data.fold.")
        if not isinstance(self.folds, int) or self.folds < 2:
            raise UserError(
                f"data.folds={self.folds} is invalid: it must be an integer of at least 2, or null for no folds."
            )
        if not isinstance(self.fold, int) or not 0 <= self.fold < self.folds:
            raise UserError(
                f"data.fold={self.fold} is invalid: with data.folds={self.folds} it must be from 0 to {self.folds - 1}."
            )

    def indices(self, examples: Examples) -> dict[str, Tensor]:
        """Return the indices of the samples of each stage; the test samples do not depend on the folds.

        Raises:
            UserError: there are fewer samples or groups than folds.
        """
        number = len(examples.y)
        num_test, num_val = (round(share * number) for share in (self.test_share, self.val_share))
        num_test = 0 if examples.test else num_test
        if examples.times is not None:
            return self._by_time(examples.times, num_test, num_val)
        order = torch.randperm(number, generator=torch.Generator().manual_seed(self.seed))
        classes = examples.y.flatten() if examples.task in ("binary", "multiclass") else None
        groups, stratified = examples.groups, classes if self.stratify else None

        def pick(order: Tensor, number: int) -> tuple[Tensor, Tensor]:
            return _pick(order, number, stratified) if groups is None else _pick_groups(order, number, groups)

        test, rest = pick(order, num_test)
        if self.folds is None:
            val, train = pick(rest, num_val)
            return {"train": train, "val": val, "test": test}
        if groups is None:
            part = _parts(None if classes is None else classes[rest], len(rest), self.folds)
        else:
            part = _group_parts(groups[rest], self.folds)
        return {"train": rest[part != self.fold], "val": rest[part == self.fold], "test": test}

    def _by_time(self, times: Tensor, num_test: int, num_val: int) -> dict[str, Tensor]:
        """Return the last samples for testing, and those before for validation; folds as in TimeSeriesSplit."""
        order = times.argsort(stable=True)
        start = _before_ties(times[order], len(order) - num_test)
        rest, test = order[:start], order[start:]
        if self.folds is None:
            start = _before_ties(times[rest], max(0, len(rest) - num_val))
            return {"train": rest[:start], "val": rest[start:], "test": test}
        _check_number(self.folds, len(rest) - 1, "samples")
        size = len(rest) // (self.folds + 1)
        start = len(rest) - (self.folds - self.fold) * size
        return {"train": rest[:start], "val": rest[start : start + size], "test": test}


def log_absent_classes(samples: dict[str, tuple[Tensor, Tensor]], examples: Examples) -> None:
    """Log the classes without a sample in a stage, about which its metrics say nothing."""
    names = examples.class_names or ["0", "1"]
    for stage, (_, y) in samples.items() if examples.task in ("binary", "multiclass") else ():
        counts = torch.bincount(y.flatten().long(), minlength=len(names)).tolist()
        absent = [name for name, count in zip(names, counts, strict=True) if not count]
        if absent and len(y):
            what = {"train": "training", "val": "validation"}.get(stage, stage)
            classes = "the class" if len(absent) == 1 else "one of the classes"
            log.info(f"no {what} sample has {classes} {', '.join(absent[:5])}{', ...' * (len(absent) > 5)}")


def split_table(indices: dict[str, Tensor], examples: Examples) -> str:
    """Return a CSV with the stage of each row of a table, counted from 0."""
    number = torch.arange(len(examples.y)) if examples.rows is None else torch.from_numpy(examples.rows)
    stages = sorted((row, stage) for stage, i in indices.items() for row in number[i].tolist())
    return "row,stage\n" + "".join(f"{row},{stage}\n" for row, stage in stages)


def _pick(order: Tensor, number: int, classes: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return `number` of the indices, stratified if there are classes, and the others, both in the given order."""
    if classes is None:
        return order[:number], order[number:]
    found = classes[order].long()
    candidates = (torch.bincount(found)[found] >= RARE).nonzero().flatten()
    if len(candidates) <= number:
        candidates = torch.arange(len(order))
    by_class = candidates[found[candidates].argsort(stable=True)]
    i = torch.arange(
        len(by_class)
    )  # every (n / number)-th sample, so that the counts of a class differ by less than one
    chosen = torch.zeros(len(order), dtype=torch.bool)
    chosen[by_class] = (i + 1) * number // len(i) > i * number // len(i)
    return order[chosen], order[~chosen]


def _pick_groups(order: Tensor, number: int, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of whole groups with a total closest to `number`, and the others, in the given order."""
    found = groups[order]
    _, codes = found.unique(return_inverse=True)
    first = torch.full((int(codes.max()) + 1,), len(order)).scatter_reduce(0, codes, torch.arange(len(order)), "amin")
    by_appearance = first.argsort()
    totals = torch.bincount(codes)[by_appearance].cumsum(0)
    count = 0 if not number else int((totals - number).abs().argmin()) + 1
    chosen = torch.isin(codes, by_appearance[:count])
    return order[chosen], order[~chosen]


def _parts(classes: Tensor | None, number: int, folds: int) -> Tensor:
    """Return the fold of each sample: in turn, class after class, so that counts differ by at most one."""
    _check_number(folds, number, "samples")
    by_class = torch.arange(number) if classes is None else classes.argsort(stable=True)
    part = torch.empty(number, dtype=torch.long)
    part[by_class] = torch.arange(number) % folds
    return part


def _group_parts(groups: Tensor, folds: int) -> Tensor:
    """Return the fold of each sample: the largest group first, to the smallest fold, as in GroupKFold."""
    _, codes, sizes = groups.unique(return_inverse=True, return_counts=True)
    _check_number(folds, len(sizes), "groups")
    part, totals = torch.empty(len(sizes), dtype=torch.long), [0] * folds
    for group in sizes.argsort(descending=True, stable=True).tolist():
        smallest = totals.index(min(totals))
        part[group] = smallest
        totals[smallest] += int(sizes[group])
    return part[codes]


def _before_ties(times: Tensor, start: int) -> int:
    """Return the index of the first of the sorted times that equals the one at `start`."""
    return int((times < times[start]).sum()) if start < len(times) else start


def _check_number(folds: int, number: int, what: str) -> None:
    if folds > number:
        raise UserError(f"data.folds={folds} is invalid: there are only {number} {what} without the test samples.")
