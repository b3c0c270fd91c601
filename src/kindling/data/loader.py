"""A data loader that slices tensors in memory, without worker processes or Python code per sample."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor


class Pixels:
    """Converts bytes to scaled floats, and optionally shifts images, with zeros for pixels from outside.

    Args:
        transform: has the mean and the factor of the scaling.
        shift: maximum shift in pixels.
    """

    def __init__(self, transform: dict[str, Any], shift: int = 0):
        self.mean, self.factor, self.shift = transform["shift"][0], transform["factor"][0], shift

    def moves(self, num_examples: int, generator: torch.Generator) -> Tensor | None:
        """Draw row and column offsets (N, 2) from 0 to 2 * shift, where `shift` leaves the image in place."""
        size = (num_examples, 2)
        return torch.randint(2 * self.shift + 1, size, generator=generator) if self.shift else None

    def __call__(self, x: Tensor, moves: Tensor | None = None) -> Tensor:
        if moves is not None:
            n, _, height, width = x.shape
            padded = F.pad(x, [self.shift] * 4)
            rows = moves[:, 0, None] + torch.arange(height, device=x.device)  # (N, height)
            columns = moves[:, 1, None] + torch.arange(width, device=x.device)  # (N, width)
            image = torch.arange(n, device=x.device)[:, None, None]
            x = padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # (N, C, height, width)
        return x.float().sub_(self.mean).mul_(self.factor)


class TensorLoader:
    """Yields mini-batches `(x, y)`, or with `num_steps=n` groups of up to n mini-batches.

    If samples are weighted, their weights are the third element of a mini-batch.

    The order of the samples only depends on the seed and the epoch. Lightning calls `set_epoch` because the loader is
    its own sampler, and stores `state_dict` in checkpoints, so that a run resumes at the same batch.

    Args:
        x: inputs.
        y: targets.
        batch_size: number of samples of a mini-batch, over all processes.
        seed: seed of the order; None: the samples stay in order.
        num_steps: number of mini-batches per group; None: yield single mini-batches.
        pixels: conversion of images, which are kept as bytes; applied lazily, while a batch is in the cache.
        rank: rank of this process, each of which gets a part of every mini-batch.
        world_size: number of processes.
        passes: number of passes over the samples per epoch, each in its own order; a mini-batch may span two passes.
        weights: of the samples (N,); None: all are equal.
        drop_last: leave out the last mini-batch of an epoch if it is short and not the only one.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int,
        seed: int | None = None,
        num_steps: int | None = None,
        pixels: Pixels | None = None,
        rank: int = 0,
        world_size: int = 1,
        passes: int = 1,
        weights: Tensor | None = None,
        drop_last: bool = False,
    ):
        self.x, self.tensors = x, (x, y) if weights is None else (x, y, weights)
        self.batch_size, self.seed = batch_size, seed
        self.num_steps, self.pixels = num_steps, pixels
        self.rank, self.world_size, self.passes = rank, world_size, passes
        self.drop_last = drop_last
        self.epoch, self.start, self.position = 0, 0, 0
        if seed is not None:
            self.sampler = self.batch_sampler = self

    def __len__(self) -> int:
        return math.ceil(self.num_samples / (self.batch_size * (self.num_steps or 1)))

    @property
    def num_samples(self) -> int:
        """The number of samples in an epoch, over all passes."""
        number = len(self.x) * self.passes
        return number - number % self.batch_size if self.drop_last and number >= self.batch_size else number

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["position"]

    def __iter__(self) -> Iterator[Any]:
        # A generator, because on resume Lightning calls iter() before set_epoch.
        size = self.batch_size * (self.num_steps or 1)
        order, moves = (None, None) if self.seed is None else self.draw()
        start, self.start = self.start, 0
        for item in range(start, len(self)):
            self.position = (item + 1) % len(self)
            part = slice(item * size, (item + 1) * size)
            tensors = (t[part] if order is None else t.index_select(0, order[part]) for t in self.tensors)
            batches: Iterator[tuple[Tensor, ...]] = zip(*map(self._split, tensors), strict=True)
            if self.pixels:
                batches = _convert(batches, self.pixels, None if moves is None else iter(self._split(moves[part])))
            yield (batches if self.pixels else list(batches)) if self.num_steps else next(batches)

    def _split(self, samples: Tensor) -> Sequence[Tensor]:
        batches = samples.split(self.batch_size)
        if self.world_size == 1:
            return batches
        return [batch.tensor_split(self.world_size)[self.rank] for batch in batches]

    def weight(self, batch_idx: int, num_samples: int) -> float:
        """Return the factor of this process's mean loss with which processes average to the mean of all samples."""
        return num_samples * self.world_size / min(self.batch_size, self.num_samples - batch_idx * self.batch_size)

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """Draw the epoch's order of the samples and the shifts of images, on the CPU and thus equal for all devices."""
        generator = torch.Generator().manual_seed((self.seed or 0) * 100_003 + self.epoch)
        passes = [torch.randperm(len(self.x), generator=generator) for _ in range(self.passes)]
        moves = self.pixels.moves(self.num_samples, generator) if self.pixels else None
        return torch.cat(passes)[: self.num_samples].to(self.x.device), None if moves is None else moves.to(
            self.x.device
        )


def _convert(
    batches: Iterator[tuple[Tensor, ...]], pixels: Pixels, moves: Iterator[Tensor] | None
) -> Iterator[tuple[Tensor, ...]]:
    for x, *rest in batches:
        yield pixels(x, next(moves) if moves else None), *rest


def steps_per_second(sample: Tensor, model: pl.LightningModule, batch_size: int) -> int:
    """Return how many mini-batches take about a second: at most 2,000, 4e6 input values, and 5e9 multiply-adds."""
    values = sample.numel() * batch_size
    weights = sum(p.numel() for p in model.parameters()) * batch_size
    return max(1, min(2_000, 4_000_000 // values, 5_000_000_000 // max(1, weights)))


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Return the number of optimizer steps per epoch; Lightning counts a group of mini-batches as one batch."""
    loader = trainer.train_dataloader
    if isinstance(loader, TensorLoader) and loader.num_steps:
        return math.ceil(loader.num_samples / loader.batch_size)
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
