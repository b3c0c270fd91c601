"""What a model cannot be trained with, refused when training begins."""

import pytorch_lightning as pl
import torch

from kindling import UserError
from kindling.data.base import Data


def refuse_true_precision(trainer: pl.Trainer) -> None:
    """Refuse a precision that images, which come as 32-bit numbers, cannot be computed in."""
    data, precision = trainer.datamodule, trainer.precision
    images = isinstance(data, Data) and not data.samples["train"][0].is_floating_point()
    if images and precision.endswith("-true") and precision != "32-true":
        raise UserError(
            f"precision={precision} is not for images, which come as 32-bit numbers: take 32-true, 16-mixed or "
            "bf16-mixed."
        )


def refuse_batch_of_one(model: pl.LightningModule) -> None:
    """Refuse a batch of one sample where there is batch norm, which needs two."""
    data = model.trainer.datamodule
    if not isinstance(data, Data) or not any(isinstance(m, torch.nn.BatchNorm1d) for m in model.modules()):
        return
    num_samples, processes = data.number_of("train"), model.trainer.world_size
    least = smallest_batch(num_samples * data.passes, data.samples_per_step)
    if least // processes < 2:
        shared = f" shared among {processes} processes" if processes > 1 else ""
        raise UserError(
            f"batch_norm=true needs two samples in every batch, and batch_size={data.batch_size} leaves a batch of "
            f"{least}{shared} ({num_samples * data.passes} samples an epoch): choose another batch_size."
        )


def smallest_batch(num_samples: int, batch_size: int) -> int:
    """Return the number of samples in an epoch's smallest mini-batch."""
    return min(num_samples, num_samples % batch_size or batch_size)
