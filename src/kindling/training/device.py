"""Choice of the device with `trainer=auto`, and of the number of threads."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch

from kindling.data.base import Data

log = logging.getLogger("kindling")

# Up to this number of parameters, one step takes less time than the accelerator's kernel launches.
SMALL = 200_000


def auto(model: pl.LightningModule, data: pl.LightningDataModule, precision: Any = None, **kwargs: Any) -> pl.Trainer:
    """Return a Trainer on the CPU for a small model on a table in memory, else on the accelerator; log the reason.

    Args:
        model: the model to train.
        data: the data to train it on.
        precision: see Trainer; None: bfloat16 for images from kindling.data on a CPU with instructions for it.
        kwargs: other arguments of Trainer.
    """
    parameters = sum(p.numel() for p in model.parameters())
    x = data.samples["train"][0] if isinstance(data, Data) else None
    if not torch.accelerator.is_available():
        accelerator, why = "cpu", "no accelerator found"
    elif x is not None and x.dim() == 2 and parameters <= SMALL:
        accelerator, why = "cpu", f"{parameters:,} parameters and a table in memory; set trainer=gpu to change this"
    else:
        accelerator, why = "auto", "images, a large model, or your own data class"
    log.info(f"trainer=auto uses {'the CPU' if accelerator == 'cpu' else 'the accelerator'}: {why}")
    if precision is None and accelerator == "cpu" and x is not None and x.dim() == 4 and _has_bfloat16():
        precision = "bf16-mixed"
        log.info("images are computed in bfloat16, which this CPU supports; set precision=32-true to change this")
    return pl.Trainer(accelerator=accelerator, devices=1, precision=precision, **kwargs)


def _has_bfloat16() -> bool:
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # from torch 2.11 on
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


# Up to this number of multiply-adds of a forward pass over a batch, multiple threads cost more than they save. On two
# busy cores PyTorch's threads spin while they wait for each other: a step of 0.2 ms with one thread was seen to take
# 90 ms with two.
SHORT = 10_000_000


def choose_threads(
    trainer: pl.Trainer, model: pl.LightningModule, data: pl.LightningDataModule, short: int = SHORT
) -> int:
    """Set one thread for a small model on the CPU, and return the previous number of threads.

    This is only done for data from kindling.data, and for images only for a model without convolutions, whose weights
    are used many times in a forward pass.

    Args:
        trainer: determines the device.
        model: the model to train.
        data: determines the batch size.
        short: multiply-adds of a forward pass up to which one thread is used.
    """
    before = torch.get_num_threads()
    if not isinstance(data, Data) or trainer.strategy.root_device.type != "cpu":
        return before
    if data.samples["train"][0].dim() != 2 and any(p.dim() > 2 for p in model.parameters()):
        return before
    if data.samples_per_step * sum(p.numel() for p in model.parameters()) <= short:
        torch.set_num_threads(1)
    return before
