"""Splits into training, validation and test samples, by shares or for a cross-validation."""

import torch
from torch import Tensor

from kindling import UserError


def check_shares(val_share: float, test_share: float, folds: int | None, fold: int) -> None:
    """Check the arguments of the split.

    Raises:
        UserError: they are invalid for any data set.
    """
    used = test_share if folds is not None else val_share + test_share
    if not (val_share >= 0 and test_share >= 0 and used < 1):
        raise UserError(
            f"data.val_share={val_share} and data.test_share={test_share} must be at least 0 and less than 1 in total."
        )
    if folds is None and fold == 0:
        return
    if folds is None:
        raise UserError(f"data.fold={fold} needs data.folds=..., the number of folds: add it, or remove data.fold.")
    if not isinstance(folds, int) or folds < 2:
        raise UserError(f"data.folds={folds} is invalid: it must be an integer of at least 2, or null for no folds.")
    if not isinstance(fold, int) or not 0 <= fold < folds:
        raise UserError(f"data.fold={fold} is invalid: with data.folds={folds} it must be from 0 to {folds - 1}.")


def split_by_shares(order: Tensor, num_test: int, num_val: int) -> dict[str, Tensor]:
    """Return the indices of the samples of each stage.

    Args:
        order: shuffled indices.
        num_test: number of test samples.
        num_val: number of validation samples.
    """
    test, val, train = order.split([num_test, num_val, len(order) - num_test - num_val])
    return {"train": train, "val": val, "test": test}


def split_by_fold(order: Tensor, num_test: int, folds: int, fold: int, classes: Tensor | None) -> dict[str, Tensor]:
    """Return the indices of the samples of each stage; the test samples do not depend on the folds.

    Args:
        order: shuffled indices.
        num_test: number of test samples.
        folds: number of parts of the other samples.
        fold: the part for validation.
        classes: class of each sample (N,), for a stratified split; None if there are no classes.

    Raises:
        UserError: there are fewer samples than folds.
    """
    test, rest = order[:num_test], order[num_test:]
    if folds > len(rest):
        raise UserError(f"data.folds={folds} is invalid: there are only {len(rest)} samples without the test samples.")
    # Assign samples to the parts in turn, class after class, so that counts differ by at most one, as in scikit-learn.
    by_class = torch.arange(len(rest)) if classes is None else classes[rest].argsort(stable=True)
    part = torch.empty(len(rest), dtype=torch.long)
    part[by_class] = torch.arange(len(rest)) % folds
    return {"train": rest[part != fold], "val": rest[part == fold], "test": test}
