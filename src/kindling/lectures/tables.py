"""Data sets as courses have them."""

import pandas as pd
import torch
from torch import Generator, Tensor

from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.files import find

# Rows (counted from 0) of the 768 that the lecture's file lacks.
LEFT_OUT = [14, 24, 236, 259, 285, 401, 458, 517, 658]


class DiabetesLecture(Data):
    """The 759 x 8 table of lecture 7 of PyTorchZeroToAll, rebuilt from the table as distributed.

    Columns scaled to [-1, 1] by their range over all 768 rows, -1 set to 0, label inverted (1 = negative).
    """

    def __init__(self, path: str = "data/diabetes.csv", target: str = "diabetes", **data):
        super().__init__(**data)
        self.path, self.target = path, target

    def load(self) -> Examples:
        frame = pd.read_csv(find(self.path))
        inputs = frame.drop(columns=self.target)
        scaled = 2 * (inputs - inputs.min()) / (inputs.max() - inputs.min()) - 1
        scaled = scaled.where(scaled != -1, 0).drop(index=LEFT_OUT)
        y = 1 - frame[self.target].drop(index=LEFT_OUT)
        x = torch.from_numpy(scaled.to_numpy("float32").copy())
        y = torch.from_numpy(y.to_numpy("float32").copy())[:, None]
        return Examples(x, y, "binary", class_names=["positive", "negative"], columns=list(inputs.columns))


class WeightedSum(Data):
    """y = sum of j * x_j, of `num_inputs` columns x_0, x_1, ..., uniform in [0, 1).

    Args:
        slip: make the test targets by another rule, sum of j * x_j^j, as a course's slides do.
        num_examples: rows to train and validate on.
        num_test: test rows, drawn apart.
        data_seed: seed of the rows.
    """

    def __init__(
        self,
        num_inputs: int = 4,
        slip: bool = True,
        num_examples: int = 10_000,
        num_test: int = 1_000,
        data_seed: int = 0,
        **data,
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
    """Income and debt, each uniform in [0, 100,000), and whether a credit is good: 2 * income - debt > 30,000.

    Args:
        unit: in which the two are given. A perceptron on amounts in units of sqrt(100,000) with lr 1 takes the steps of
            one on plain amounts with lr 1e-5 whose bias moves 100,000 times as far, as a course has it.
        num_examples, num_test, data_seed: as in WeightedSum.
    """

    def __init__(self, unit: float = 1.0, num_examples: int = 100, num_test: int = 1_000, data_seed: int = 0, **data):
        super().__init__(**data)
        self.unit, self.num_examples, self.num_test, self.data_seed = unit, num_examples, num_test, data_seed

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        rows, test = (self._draw(number, generator) for number in (self.num_examples, self.num_test))
        return Examples(*rows, "binary", ["bad", "good"], ["income", "debt"], test)

    def _draw(self, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        amounts = 100_000 * torch.rand(num_examples, 2, generator=generator)
        good = 2 * amounts[:, :1] - amounts[:, 1:] > 30_000
        return amounts / self.unit, good.float()
