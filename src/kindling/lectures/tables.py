"""Tables of the courses."""

from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor

from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.files import find

# Indices of the rows, of 768, that the lecture's file lacks.
LEFT_OUT = [14, 24, 236, 259, 285, 401, 458, 517, 658]


class DiabetesLecture(Data):
    """The 759 x 8 table of lecture 7 of PyTorchZeroToAll, rebuilt from the original table.

    Columns are scaled to [-1, 1] by their range over all 768 rows, -1 is set to 0, and the label is inverted
    (1 = negative).
    """

    def __init__(self, path: str = "data/diabetes.csv", target: str = "diabetes", **data: Any):
        super().__init__(**data)
        self.path, self.target = path, target

    def load(self) -> Examples:
        frame = pd.read_csv(find(self.path))
        inputs = frame.drop(columns=self.target)
        scaled = 2 * (inputs - inputs.min()) / (inputs.max() - inputs.min()) - 1
        scaled = scaled.where(scaled != -1, 0).drop(index=LEFT_OUT)
        labels = 1 - frame[self.target].drop(index=LEFT_OUT)
        x = torch.from_numpy(scaled.to_numpy("float32").copy())
        y = torch.from_numpy(labels.to_numpy("float32").copy())[:, None]
        return Examples(x, y, "binary", class_names=["positive", "negative"], columns=list(inputs.columns))


class WeightedSum(Data):
    """Samples of y = sum of j * x_j, with `num_inputs` columns x_0, x_1, ..., uniform in [0, 1).

    Args:
        slip: generate the test targets by a different formula, sum of j * x_j^j, like a course's slides.
        num_examples: number of samples for training and validation.
        num_test: number of test samples.
        data_seed: seed of the samples.
    """

    def __init__(
        self,
        num_inputs: int = 4,
        slip: bool = True,
        num_examples: int = 10_000,
        num_test: int = 1_000,
        data_seed: int = 0,
        **data: Any,
    ):
        super().__init__(**data)
        self.num_inputs, self.slip = num_inputs, slip
        self.num_examples, self.num_test, self.data_seed = num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        x, x_test = (torch.rand(n, self.num_inputs, generator=generator) for n in (self.num_examples, self.num_test))
        j = torch.arange(self.num_inputs)
        y, y_test = ((j * part).sum(1, keepdim=True) for part in (x, x_test**j if self.slip else x_test))
        return Examples(x, y, "regression", columns=[f"x{i}" for i in j.tolist()], test=(x_test, y_test))


class Credit(Data):
    """Samples of income and debt, each uniform in [0, 100,000), and whether credit is good: 2 * income - debt > 30,000.

    Args:
        unit: the unit of both amounts. A perceptron with lr 1 on amounts in units of sqrt(100,000) takes the steps of a
            course's perceptron, with lr 1e-5 on plain amounts and 100,000 times that lr for the bias.
        num_examples, num_test, data_seed: see WeightedSum.
    """

    def __init__(
        self, unit: float = 1.0, num_examples: int = 100, num_test: int = 1_000, data_seed: int = 0, **data: Any
    ):
        super().__init__(**data)
        self.unit, self.num_examples, self.num_test, self.data_seed = unit, num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        (x, y), test = (self._draw(number, generator) for number in (self.num_examples, self.num_test))
        return Examples(x, y, "binary", ["bad", "good"], ["income", "debt"], test)

    def _draw(self, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        amounts = 100_000 * torch.rand(num_examples, 2, generator=generator)
        good = 2 * amounts[:, :1] - amounts[:, 1:] > 30_000
        return amounts / self.unit, good.float()
