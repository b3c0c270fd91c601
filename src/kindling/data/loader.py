"""The loader: whole tensors, sliced. No worker processes, no per-row Python."""

import math
from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor


class Pixels:
    """Bytes to scaled floats; where `moves` are given, every image is moved by its own, pixels from outside being 0."""

    def __init__(self, transform: dict, shift: int = 0):
        self.mean, self.factor, self.shift = transform["shift"][0], transform["factor"][0], shift

    def moves(self, num_examples: int, generator: torch.Generator) -> Tensor | None:
        """Rows and columns (N, 2) from 0 to 2 * shift; the middle is where the image was."""
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
    """Yields mini-batches `(x, y)`, or, with `num_steps=n`, up to n of them at a time for a step that takes several.

    The order of epoch e depends on (seed, e) alone; without a seed rows come in order. Lightning calls `set_epoch`
    because the loader names itself as its sampler, and keeps `state_dict` in its checkpoints, so that a run resumes at
    its batch.

    Args:
        batch_size: rows of a mini-batch, of all processes together.
        passes: over the rows in an epoch, each in an order of its own; a mini-batch may reach into the next pass.
        rank, world_size: this process and how many there are; each gets its share of every mini-batch.
        pixels: for images, kept as bytes: what a batch goes through when its turn comes, while it is in the cache.
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
    ):
        self.x, self.y, self.batch_size, self.seed, self.num_steps, self.pixels = (
            x,
            y,
            batch_size,
            seed,
            num_steps,
            pixels,
        )
        self.rank, self.world_size, self.passes = rank, world_size, passes
        self.epoch, self.start, self.position = 0, 0, 0
        if seed is not None:
            self.sampler = self.batch_sampler = self

    def __len__(self) -> int:
        return math.ceil(self.num_samples / (self.batch_size * (self.num_steps or 1)))

    @property
    def num_samples(self) -> int:
        """Of an epoch, all passes together."""
        return len(self.x) * self.passes

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict:
        return {"position": self.position}

    def load_state_dict(self, state: dict) -> None:
        self.start = state["position"]

    def __iter__(self) -> Iterator:
        # A generator: on resume Lightning calls iter() before set_epoch, so nothing may happen before the first next().
        rows = self.batch_size * (self.num_steps or 1)
        order, moves = (None, None) if self.seed is None else self.draw()
        start, self.start = self.start, 0
        for item in range(start, len(self)):
            self.position = (item + 1) % len(self)
            part = slice(item * rows, (item + 1) * rows)
            x, y = (t[part] if order is None else t.index_select(0, order[part]) for t in (self.x, self.y))
            batches = zip(self._split(x), self._split(y), strict=True)
            if self.pixels:
                batches = self._prepared(batches, None if moves is None else iter(self._split(moves[part])))
            yield (batches if self.pixels else list(batches)) if self.num_steps else next(iter(batches))

    def _split(self, rows: Tensor) -> Sequence[Tensor]:
        batches = rows.split(self.batch_size)
        if self.world_size == 1:
            return batches
        return [batch.tensor_split(self.world_size)[self.rank] for batch in batches]

    def weight(self, batch_idx: int, rows: int) -> float:
        """What makes the mean over processes of their mean losses the mean over the rows, where shares are uneven."""
        return rows * self.world_size / min(self.batch_size, self.num_samples - batch_idx * self.batch_size)

    def _prepared(self, batches: Iterator, moves: Iterator | None) -> Iterator:
        for x, y in batches:
            yield self.pixels(x, moves and next(moves)), y

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """The epoch's order of the rows, and moves of images: drawn on the CPU, so the same on every device."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        passes = [torch.randperm(len(self.x), generator=generator) for _ in range(self.passes)]
        moves = self.pixels.moves(self.num_samples, generator) if self.pixels else None
        return torch.cat(passes).to(self.x.device), None if moves is None else moves.to(self.x.device)


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimizer steps of an epoch: Lightning counts a list of several mini-batches as one batch."""
    loader = trainer.train_dataloader
    if isinstance(loader, TensorLoader) and loader.num_steps:
        return math.ceil(loader.num_samples / loader.batch_size)
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
