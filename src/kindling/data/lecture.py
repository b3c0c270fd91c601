"""The 759 x 8 diabetes table of lecture 7 of PyTorchZeroToAll, rebuilt from the table as distributed."""

import pandas as pd
import torch

from kindling.data.base import Data, Examples
from kindling.data.read import find

# Rows (counted from 0) of the 768 that the lecture's file lacks.
LEFT_OUT = [14, 24, 236, 259, 285, 401, 458, 517, 658]


class DiabetesLecture(Data):
    """Columns scaled to [-1, 1] by their range over all 768 rows, -1 set to 0, label inverted (1 = negative)."""

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
        return Examples(x, y, "binary", ["positive", "negative"], list(inputs.columns))
