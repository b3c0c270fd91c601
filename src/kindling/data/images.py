"""Images, kept in memory as bytes (N, channels, height, width)."""

import numpy as np
import torch

from kindling.data.base import Data, Examples
from kindling.data.read import find


class ImageArchive(Data):
    """A NumPy archive with `x_train`, `x_test` (N, height, width) bytes and `y_train`, `y_test` (N,) class indices."""

    def __init__(self, path: str, **data):
        super().__init__(**data)
        self.path = path

    def load(self) -> Examples:
        with np.load(find(self.path)) as archive:
            x, x_test = (torch.from_numpy(archive[f"x_{part}"])[:, None] for part in ("train", "test"))
            y, y_test = (torch.from_numpy(archive[f"y_{part}"]).long() for part in ("train", "test"))
        names = [str(k) for k in range(int(y.max()) + 1)]
        return Examples(x, y, "multiclass", names, test=(x_test, y_test))
