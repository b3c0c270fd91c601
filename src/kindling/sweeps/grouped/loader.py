"""Loaders that yield the mini-batches of many members at once."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from kindling.data.loader import TensorLoader


class MembersLoader:
    """Yields lists of up to `num_steps` mini-batches x (M, B, *input_shape), y (M, B, ...) for M members.

    Weighted samples have their weights (M, B) as a third element.

    Args:
        loader: the loader of the training samples; it draws the orders.
        seeds: a seed for each of the M members, which gives the order of its samples.
        num_steps: mini-batches per list.
    """

    def __init__(self, loader: TensorLoader, seeds: list[int], num_steps: int):
        self.loader, self.num_steps, self.batch_size = loader, num_steps, loader.batch_size
        self.seeds = list(dict.fromkeys(seeds))
        self.seed_of = torch.tensor([self.seeds.index(seed) for seed in seeds], device=loader.x.device)
        self.epoch, self.start, self.position = 0, 0, 0
        self.sampler = self.batch_sampler = self  # Lightning calls set_epoch on it

    def __len__(self) -> int:
        return math.ceil(self.steps / self.num_steps)

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch."""
        return math.ceil(self.loader.num_samples / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict:
        return {"position": self.position}

    def load_state_dict(self, state: dict) -> None:
        self.start = state["position"]

    def __iter__(self) -> Iterator[list[tuple[Tensor, ...]]]:
        start, self.start = self.start, 0
        order = torch.stack([self._order(seed) for seed in self.seeds]).index_select(0, self.seed_of)  # (M, N)
        samples = self.num_steps * self.batch_size
        for item in range(start, len(self)):
            self.position = (item + 1) % len(self)
            yield list(self._batches(order[:, item * samples : (item + 1) * samples]))

    def _order(self, seed: int) -> Tensor:
        self.loader.seed, self.loader.epoch = seed, self.epoch
        return self.loader.draw()[0]

    def _batches(self, order: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield the mini-batches of an order (M, N); all full ones are gathered at once, as (batches, M, B)."""
        whole = order.shape[1] // self.batch_size * self.batch_size
        parts = [order[:, :whole].unflatten(1, (-1, self.batch_size)).transpose(0, 1)] if whole else []
        parts += [order[None, :, whole:]] if whole < order.shape[1] else []
        for part in parts:  # (batches, M, B)
            index = part.flatten()
            tensors = (t.index_select(0, index).view(*part.shape, *t.shape[1:]) for t in self.loader.tensors)
            for x, *rest in zip(*tensors, strict=True):
                yield (self.loader.pixels(x) if self.loader.pixels else x), *rest


class SharedLoader:
    """Yields a loader's mini-batches, the same ones for each of M members: x (M, N, *input_shape), y (M, N, ...)."""

    def __init__(self, loader: TensorLoader, members: int):
        self.loader, self.members = loader, members

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.loader:
            yield tuple(t.expand(self.members, *t.shape) for t in batch)
