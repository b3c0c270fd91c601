"""Which device a run takes with `trainer=auto`, and how many threads."""

import logging

import pytorch_lightning as pl
import torch

from kindling.data.base import Data

log = logging.getLogger("kindling")

# Weights up to which a step over a table's batch is so short that starting kernels on an accelerator takes longer.
SMALL = 200_000


def auto(model: pl.LightningModule, data: pl.LightningDataModule, precision=None, **trainer) -> pl.Trainer:
    """A Trainer on the CPU for a small net on a table in memory, else on the accelerator; a line says why.

    Without a precision, images of ours are computed in bfloat16 on a CPU that has instructions for it.
    """
    parameters = sum(p.numel() for p in model.parameters())
    x = data.samples["train"][0] if isinstance(data, Data) else None
    if not torch.accelerator.is_available():
        accelerator, why = "cpu", "no accelerator found"
    elif x is not None and x.dim() == 2 and parameters <= SMALL:
        accelerator, why = "cpu", f"{parameters:,} weights on a table in memory; trainer=gpu to differ"
    else:
        accelerator, why = "auto", "images, a net of many weights, or data of your own"
    log.info(f"trainer=auto takes {'the CPU' if accelerator == 'cpu' else 'the accelerator'}: {why}")
    if precision is None and accelerator == "cpu" and x is not None and x.dim() == 4 and _has_bfloat16():
        precision = "bf16-mixed"
        log.info("images are computed in bfloat16, which this CPU has; precision=32-true to differ")
    return pl.Trainer(accelerator=accelerator, devices=1, precision=precision, **trainer)


def _has_bfloat16() -> bool:
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # from torch 2.11 on
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


# Multiply-adds of a forward pass over a batch, up to which sharing a step among threads costs more than it brings. On
# two busy cores PyTorch's threads wait for each other in a loop: a step of 0.2 ms was seen to take 90 ms with two
# threads, and 0.2 ms with one.
SHORT = 10_000_000


def choose_threads(
    trainer: pl.Trainer, model: pl.LightningModule, data: pl.LightningDataModule, short: int = SHORT
) -> int:
    """Sets one thread for a small net on data of ours, on the CPU; returns how many it was before.

    Of images only for one without convolutions, whose weights are used many times in a forward pass.
    """
    before = torch.get_num_threads()
    x = data.samples["train"][0] if isinstance(data, Data) else None
    known = x is not None and (x.dim() == 2 or all(p.dim() <= 2 for p in model.parameters()))
    if trainer.strategy.root_device.type != "cpu" or not known:
        return before
    if data.samples_per_step * sum(p.numel() for p in model.parameters()) <= short:
        torch.set_num_threads(1)
    return before
