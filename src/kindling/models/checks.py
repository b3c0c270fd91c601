"""Checks at the start of training for settings that a model cannot be trained with."""

from textwrap import shorten

import pytorch_lightning as pl
import torch

from kindling import UserError
from kindling.data.base import Data
from kindling.data.trainer_parts import datamodule_of
from kindling.tasks.losses import weighted
from kindling.tasks.tasks import Loss


def reject_true_precision(trainer: pl.Trainer) -> None:
    """Raise UserError for images with a "true" precision other than 32 bits, which is the type of their batches."""
    data, precision = datamodule_of(trainer), trainer.precision
    images = isinstance(data, Data) and not data.samples["train"][0].is_floating_point()
    if images and precision.endswith("-true") and precision != "32-true":
        raise UserError(
            f"precision={precision} does not work with images, which are loaded as 32-bit numbers: use 32-true, "
            "16-mixed or bf16-mixed."
        )


def reject_single_losses(model: pl.LightningModule, loss: Loss) -> None:
    """Raise UserError if samples are weighted and torch.func.vmap cannot compute the loss of each one."""
    data = datamodule_of(model.trainer)
    if not isinstance(data, Data) or "train" not in data.weights:
        return
    y = data.samples["train"][1][:8]
    logits = torch.linspace(-1, 1, len(y))[:, None].expand(-1, data.model_kwargs()["num_outputs"])
    try:
        mean = weighted(loss, torch.ones(len(y)))(logits, y)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            "data.balance and data.weight need the loss of each sample, but torch.func.vmap cannot run this loss "
            f"({shorten(str(error), 100)}): remove them, or choose another loss."
        ) from error
    if not torch.allclose(mean, loss(logits, y), rtol=1e-4, equal_nan=True):
        raise UserError(
            "data.balance and data.weight need a loss that is a mean over the samples, but this one is not, or it "
            "depends on the other samples of the batch: remove them, or choose another loss."
        )


def reject_batch_of_one(model: pl.LightningModule) -> None:
    """Raise UserError if a batch would have one sample and the model has batch norm, which needs two."""
    data = datamodule_of(model.trainer)
    if not isinstance(data, Data) or not any(isinstance(m, torch.nn.BatchNorm1d) for m in model.modules()):
        return
    num_samples, processes = data.number_of("train"), model.trainer.world_size
    smallest = smallest_batch(num_samples * data.passes, data.samples_per_step)
    if smallest // processes < 2:
        shared = f" shared among {processes} processes" if processes > 1 else ""
        raise UserError(
            f"batch_norm=true needs two samples in every batch, but batch_size={data.batch_size} leaves a batch of "
            f"{smallest}{shared} ({num_samples * data.passes} samples an epoch): choose another batch_size."
        )


def smallest_batch(num_samples: int, batch_size: int) -> int:
    """Return the number of samples in an epoch's smallest mini-batch."""
    return min(num_samples, num_samples % batch_size or batch_size)
