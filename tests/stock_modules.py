"""Ordinary LightningModules of users, without Kindling's base classes."""

import pytorch_lightning as pl
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torchmetrics import MeanSquaredError, Metric
from torchmetrics.classification import BinaryF1Score


class Logs(pl.LightningModule):
    """A module that logs its losses under given names; an empty name is not logged."""

    def __init__(self, input_shape, train="train_loss", val="val_loss", test="test_loss", hidden=4, rate=0.1):
        super().__init__()
        self.save_hyperparameters(ignore=["input_shape"])
        self.names = {"train": train, "val": val, "test": test}
        self.net = torch.nn.Sequential(
            torch.nn.Linear(input_shape[0], hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1)
        )

    def _step(self, batch, stage):
        loss = bce(self.net(batch[0]), batch[1])
        if self.names[stage]:
            self.log(self.names[stage], loss, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val")

    def test_step(self, batch, batch_idx):
        self._step(batch, "test")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.rate)


class Sometimes(Logs):
    """A module that logs one value in every epoch and another in every second one, at the end of the epoch."""

    def on_train_epoch_end(self):
        self.log("val/mine", float(self.current_epoch))
        if self.current_epoch % 2 == 0:
            self.log("train/extra", float(self.current_epoch))


class Torchmetrics(Logs):
    """A module with metrics whose names do not determine the direction, but whose classes do."""

    def __init__(self, input_shape):
        super().__init__(input_shape)
        self.val_quality, self.val_gap = BinaryF1Score(), MeanSquaredError()

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        preds = self.net(batch[0]).sigmoid()
        for name in ("val_quality", "val_gap"):
            metric: Metric = getattr(self, name)
            metric(preds, batch[1])
            self.log(name, metric)


class LogGap(pl.Callback):
    """A callback that logs a value of its own, which rises from 3."""

    supports_multi_step = True

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/gap", 3.0 + trainer.current_epoch)


class TwoOptimizers(pl.LightningModule):
    """A module with manual optimization that logs nothing, like a GAN in a tutorial."""

    def __init__(self, input_shape):
        super().__init__()
        self.automatic_optimization = False
        self.one, self.other = torch.nn.Linear(input_shape[0], 1), torch.nn.Linear(input_shape[0], 1)

    def training_step(self, batch, batch_idx):
        for net, optimizer in zip((self.one, self.other), self.optimizers(), strict=True):
            optimizer.zero_grad()
            self.manual_backward(bce(net(batch[0]), batch[1]))
            optimizer.step()

    def validation_step(self, batch, batch_idx):
        self.one(batch[0])

    def configure_optimizers(self):
        return [torch.optim.SGD(net.parameters(), 0.1) for net in (self.one, self.other)]


class Recipe:
    """A user's object that is not plain data."""


class KeepsObject(Logs):
    """A module with an object in its hyperparameters, so that its checkpoints contain more than plain data."""

    def __init__(self, input_shape):
        super().__init__(input_shape)
        self.save_hyperparameters({"recipe": Recipe()})


class Evil:
    """An object that runs code when it is unpickled: it creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")
