"""Typed access to attributes that Lightning's Trainer only gets at run time."""

from typing import Any, TypeVar, cast

import pytorch_lightning as pl

C = TypeVar("C", bound=pl.Callback)


def datamodule_of(trainer: pl.Trainer) -> pl.LightningDataModule | None:
    """Return the data that the trainer was given."""
    return cast(Any, trainer).datamodule


def callbacks_of(trainer: pl.Trainer) -> list[pl.Callback]:
    """Return the trainer's callbacks, in the order in which they run."""
    return cast(Any, trainer).callbacks


def overfits_batches(trainer: pl.Trainer) -> bool:
    """Return whether the trainer trains on the same few batches in every epoch."""
    return bool(cast(Any, trainer).overfit_batches)


def find_callback(trainer: pl.Trainer, cls: type[C]) -> C | None:
    """Return the first callback of a class, or None."""
    return next((callback for callback in callbacks_of(trainer) if isinstance(callback, cls)), None)
