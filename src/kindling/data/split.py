"""Which rows are for training, validation and testing, by shares or as a fold of a cross-validation."""

import torch
from torch import Tensor

from kindling import UserError


def check_shares(val_share: float, test_share: float, folds: int | None, fold: int) -> None:
    """Refuse what no set of rows could be split into.

    Raises:
        UserError: with the values and what they must be.
    """
    taken = test_share if folds is not None else val_share + test_share
    if not (val_share >= 0 and test_share >= 0 and taken < 1):
        raise UserError(
            f"data.val_share={val_share} and data.test_share={test_share} must be at least 0 and together under 1."
        )
    if folds is None and fold == 0:
        return
    if folds is None:
        raise UserError(f"data.fold={fold} is one of how many? Give data.folds=... too, or leave it out.")
    if not isinstance(folds, int) or folds < 2:
        raise UserError(f"data.folds={folds} cannot be: it must be a whole number from 2, or null for no folds.")
    if not isinstance(fold, int) or not 0 <= fold < folds:
        raise UserError(f"data.fold={fold} cannot be: of data.folds={folds} they are 0 to {folds - 1}.")


def split_by_shares(order: Tensor, num_test: int, num_val: int) -> dict[str, Tensor]:
    """Stage -> its rows."""
    test, val, train = order.split([num_test, num_val, len(order) - num_test - num_val])
    return {"train": train, "val": val, "test": test}


def split_by_fold(order: Tensor, num_test: int, folds: int, fold: int, classes: Tensor | None) -> dict[str, Tensor]:
    """Stage -> its rows: the test rows as without folds, of the others a part for validation.

    Args:
        order: the rows, shuffled.
        classes: of every row (N,), to be shared out evenly; None where there are none.

    Raises:
        UserError: there are fewer rows than folds.
    """
    test, rest = order[:num_test], order[num_test:]
    if folds > len(rest):
        raise UserError(f"data.folds={folds} cannot be: without the test rows there are {len(rest)}, so at most that.")
    # Row after row to the parts in turn, class after class: all counts differ by one at most, as scikit-learn's do.
    dealt = torch.arange(len(rest)) if classes is None else classes[rest].argsort(stable=True)
    part = torch.empty(len(rest), dtype=torch.long)
    part[dealt] = torch.arange(len(rest)) % folds
    return {"train": rest[part != fold], "val": rest[part == fold], "test": test}
