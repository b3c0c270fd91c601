"""Data modules of users: DataLoaders that cannot, or can, return to their position."""

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Points(pl.LightningDataModule):
    """Two classes of points in the plane, in a shuffled DataLoader."""

    input_shape = (2,)

    def setup(self, stage=None):
        x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
        y = (x[:, :1] * x[:, 1:] > 0).float()
        self.parts = [TensorDataset(x[i:j], y[i:j]) for i, j in ((0, 240), (240, 320), (320, 400))]

    def train_dataloader(self):
        return DataLoader(self.parts[0], batch_size=8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], batch_size=80)

    def test_dataloader(self):
        return DataLoader(self.parts[2], batch_size=80)


class InOrder(DataLoader):
    """A DataLoader without shuffling that returns to its position."""

    position = 0

    def __iter__(self):
        return self._remaining(super().__iter__())

    def _remaining(self, batches):
        start, self.position = self.position, 0
        for i, batch in enumerate(batches):
            if i >= start:
                self.position = (i + 1) % len(self)
                yield batch

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class OrderedPoints(Points):
    def train_dataloader(self):
        return InOrder(self.parts[0], batch_size=8)
