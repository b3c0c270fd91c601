"""Data sets drawn from a formula."""

import torch
from torch import Generator, Tensor

from kindling.data.base import Data
from kindling.data.examples import Examples


class Polynomial(Data):
    """y = sum of coefficients[j] * x^j + noise, of one x.

    Args:
        low, high: x is uniform in [low, high).
        noise: it is uniform in +-noise.
        num_examples, num_test, data_seed: as in Blobs.
    """

    def __init__(
        self,
        coefficients: list[float] | tuple = (0.0, 1.0, 2.0, 3.0, 4.0),
        low: float = 0.0,
        high: float = 1.0,
        noise: float = 0.0,
        num_examples: int = 100,
        num_test: int = 1_000,
        data_seed: int = 0,
        **data,
    ):
        super().__init__(**data)
        self.coefficients, self.low, self.high, self.noise = coefficients, low, high, noise
        self.num_examples, self.num_test, self.data_seed = num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        rows = self._draw(self.num_examples, generator)
        test = self._draw(self.num_test, generator) if self.num_test else None
        return Examples(*rows, "regression", columns=["x"], test=test)

    def _draw(self, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        x = self.low + (self.high - self.low) * torch.rand(num_examples, 1, generator=generator)
        noise = self.noise * (2 * torch.rand(num_examples, 1, generator=generator) - 1)
        return x, sum(c * x**j for j, c in enumerate(self.coefficients)) + noise


class Dates(Data):
    """Dates a year = 0.8 * education + 0.003 * income + 2, times a normal factor of mean 1.

    Args:
        noise: standard deviation of that factor.
        num_examples, num_test, data_seed: as in Blobs. Education is 0 to 25 years, income 0 to 9,999, whole numbers.
    """

    def __init__(self, noise: float = 0.01, num_examples: int = 100, num_test: int = 1_000, data_seed: int = 0, **data):
        super().__init__(**data)
        self.noise, self.num_examples, self.num_test, self.data_seed = noise, num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        rows = self._draw(self.num_examples, generator)
        test = self._draw(self.num_test, generator) if self.num_test else None
        return Examples(*rows, "regression", columns=["education", "income"], test=test)

    def _draw(self, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        education = torch.randint(26, (num_examples, 1), generator=generator).float()
        income = torch.randint(10_000, (num_examples, 1), generator=generator).float()
        factor = 1 + self.noise * torch.randn(num_examples, 1, generator=generator)
        return torch.cat([education, income], 1), (0.8 * education + 0.003 * income + 2) * factor
