"""Data sets drawn from a formula at start, with a seed of their own."""

import torch
from torch import Generator, Tensor

from kindling.data.base import Data
from kindling.data.examples import Examples


class Blobs(Data):
    """K Gaussian clouds, one class each, drawn evenly.

    Args:
        centres: K points; or K, for that many centres drawn from a normal distribution of standard deviation 5.
        variance: of every coordinate within a cloud.
        dimensions: of the drawn centres; given centres bring their own.
        num_examples: rows to train and validate on.
        num_test: test rows, drawn apart; many, so that the score's standard error is small.
        data_seed: seed of centres and rows.
    """

    def __init__(
        self,
        centres: int | list[list[float]] = ((-2.0, 2.0), (2.0, -2.0)),
        variance: float = 5.0,
        dimensions: int = 2,
        num_examples: int = 1_000,
        num_test: int = 10_000,
        data_seed: int = 0,
        **data,
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
