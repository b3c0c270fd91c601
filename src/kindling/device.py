"""`trainer=auto`: which device a run takes."""

import logging

import pytorch_lightning as pl
import torch

log = logging.getLogger("kindling")

# Weights up to which a step over a table's batch is so short that starting kernels on an accelerator takes longer.
SMALL = 200_000


def auto(model: pl.LightningModule, data: pl.LightningDataModule, **trainer) -> pl.Trainer:
    """A Trainer on the CPU for a small net on a table in memory, else on the accelerator; a line says why."""
    parameters = sum(p.numel() for p in model.parameters())
    train_rows = getattr(data, "rows", {}).get("train")
    if not torch.accelerator.is_available():
        accelerator, why = "cpu", "no accelerator found"
    elif train_rows is not None and train_rows[0].dim() == 2 and parameters <= SMALL:
        accelerator, why = "cpu", f"{parameters:,} weights on a table in memory; trainer=gpu to differ"
    else:
        accelerator, why = "auto", "images, a net of many weights, or data of your own"
    log.info(f"trainer=auto takes {'the CPU' if accelerator == 'cpu' else 'the accelerator'}: {why}")
    return pl.Trainer(accelerator=accelerator, **trainer)
