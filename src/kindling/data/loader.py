"""The loader: whole tensors, sliced. No worker processes, no per-row Python."""

import math
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor


class TensorLoader:
    """Yields mini-batches `(x, y)`, or, with `chunk=n`, lists of up to n of them for a step that takes several.

    The order of epoch e depends on (seed, e) alone; without a seed rows come in order. Lightning calls `set_epoch`
    because the loader names itself as its sampler, and keeps `state_dict` in its checkpoints, so that a run resumes at
    its batch.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int,
        seed: int | None = None,
        chunk: int | None = None,
        transform: dict | None = None,
    ):
        self.x, self.y, self.batch_size, self.seed, self.chunk = x, y, batch_size, seed, chunk
        self.transform = transform  # of images, kept as bytes: their one shift and factor
        self.epoch, self.start, self.position = 0, 0, 0
        if seed is not None:
            self.sampler = self.batch_sampler = self

    def __len__(self) -> int:
        return math.ceil(len(self.x) / (self.batch_size * (self.chunk or 1)))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict:
        return {"position": self.position}

    def load_state_dict(self, state: dict) -> None:
        self.start = state["position"]

    def __iter__(self) -> Iterator:
        # A generator: on resume Lightning calls iter() before set_epoch, so nothing may happen before the first next().
        rows = self.batch_size * (self.chunk or 1)
        order = None if self.seed is None else self._order()
        start, self.start = self.start, 0
        for item in range(start, len(self)):
            self.position = (item + 1) % len(self)
            part = slice(item * rows, (item + 1) * rows)
            x, y = (t[part] if order is None else t.index_select(0, order[part]) for t in (self.x, self.y))
            if self.transform:
                x = x.float().sub_(self.transform["shift"][0]).mul_(self.transform["factor"][0])
            yield list(zip(x.split(self.batch_size), y.split(self.batch_size), strict=True)) if self.chunk else (x, y)

    def _order(self) -> Tensor:
        """A permutation of the rows, drawn on the CPU so that every device trains in the same order."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return torch.randperm(len(self.x), generator=generator).to(self.x.device)


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimizer steps of an epoch: with chunks Lightning counts a chunk as one batch."""
    loader = trainer.train_dataloader
    if getattr(loader, "chunk", None):
        return math.ceil(len(loader.x) / loader.batch_size)
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
