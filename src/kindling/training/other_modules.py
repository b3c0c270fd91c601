"""The start of training with a LightningModule that is not a subclass of Kindling's base class."""

import logging
from typing import Any

import pytorch_lightning as pl

from kindling import UserError
from kindling.data.base import Data

log = logging.getLogger("kindling")


def own_hyperparameters(module: pl.LightningModule) -> dict[str, Any]:
    """Return the module's hyperparameters that are single values."""
    return {name: value for name, value in module.hparams.items() if isinstance(value, bool | int | float | str)}


def check_module(module: pl.LightningModule, data: pl.LightningDataModule, epoch: int | None) -> None:
    """Reject weighted samples, which the module would not expect, and log which means are incomplete.

    Args:
        module: the module.
        data: its data set.
        epoch: the epoch, from 1, within which training is resumed; None: it is not.

    Raises:
        UserError: the samples of the data set have weights.
    """
    name = type(module).__name__
    if isinstance(data, Data) and data.weights:
        raise UserError(
            f"data.balance and data.weight act in the losses of Kindling's models, not in {name}: remove them, or "
            "inherit from kindling.models.base.Model."
        )
    if epoch is not None:
        log.info(
            f"resumed in the middle of epoch {epoch}: the means that {name} logs for that epoch cover only its "
            "remaining batches"
        )
