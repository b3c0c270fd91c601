"""Synthetic data sets, which are drawn at the start with their own seed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from kindling.data.base import Data
from kindling.data.examples import Examples


class Blobs(Data):
    """Samples of K Gaussian clouds with equal probability, one class each.

    Args:
        centres: K points, or the number K of centres to draw from a normal distribution of standard deviation 5.
        variance: variance of each coordinate within a cloud.
        dimensions: number of dimensions of drawn centres.
        num_examples: number of training and validation samples.
        num_test: number of separate test samples, large for a small standard error of the score.
        data_seed: seed of the centres and samples.
        data: arguments of Data.
    """

    def __init__(
        self,
        centres: int | Sequence[Sequence[float]] = ((-2.0, 2.0), (2.0, -2.0)),
        variance: float = 5.0,
        dimensions: int = 2,
        num_examples: int = 1_000,
        num_test: int = 10_000,
        data_seed: int = 0,
        **data: Any,
    ):
        super().__init__(**data)
        self.centres, self.variance, self.dimensions = centres, variance, dimensions
        self.num_examples, self.num_test, self.data_seed = num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        if isinstance(self.centres, int):
            centres = 5 * torch.randn(self.centres, self.dimensions, generator=generator)
        else:
            centres = torch.tensor(self.centres, dtype=torch.float32)  # (K, dimensions)
        x, y = self._draw(centres, self.num_examples, generator)
        test = self._draw(centres, self.num_test, generator) if self.num_test else None
        task = "binary" if len(centres) == 2 else "multiclass"
        names = [f"cloud {k}" for k in range(len(centres))]
        return Examples(x, y, task, class_names=names, columns=[f"x{i}" for i in range(centres.shape[1])], test=test)

    def _draw(self, centres: Tensor, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        cloud = torch.randint(len(centres), (num_examples,), generator=generator)
        noise = torch.randn(num_examples, centres.shape[1], generator=generator)
        x = centres[cloud] + self.variance**0.5 * noise
        return x, cloud if len(centres) > 2 else cloud.float()[:, None]
