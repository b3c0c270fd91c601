"""Measure an epoch of MNIST with a CNN: by a raw PyTorch loop, by Kindling, and by a typical Lightning module.

    python tests/benchmarks/mnist.py            # 3 rounds, about 3 minutes on two cores

The raw loop uses the same tensors; the Lightning module uses a DataLoader that returns one image at a time. Times are
those of three epochs with 54,000 training and 6,000 validation samples, divided by three. Kindling's and the Lightning
module's include logging and files. The raw loop computes like Kindling (channels_last, and bfloat16 if the CPU has it).
All of them use this machine's accelerator if there is one.
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy

from kindling.cli.build import build
from kindling.data.loader import Pixels
from kindling.models.cnn import CNN
from kindling.training.device import _has_bfloat16, auto
from kindling.training.loggers import TensorBoard
from kindling.training.run import Run

PROJECT = Path(__file__).parents[2]
BATCH, LR, EPOCHS = 96, 0.003, 3
DEVICE = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def made():
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        cfg = compose(
            "config", overrides=["data=mnist", "model=cnn", f"batch_size={BATCH}", "average=none", "folder=?"]
        )
    torch.manual_seed(0)
    data = build(cfg.data)
    model = CNN(**data.model_kwargs(), optimizer=partial(torch.optim.Adam, lr=LR, fused=True))
    return cfg, data, model


def raw() -> float:
    _, data, model = made()
    layers, pixels = model.net.to(DEVICE), Pixels(data.transform)
    x, y, x_val = (tensor.to(DEVICE) for tensor in (*data.samples["train"], data.samples["val"][0]))
    on_cpu = DEVICE.type == "cpu"
    half = torch.autocast("cpu", torch.bfloat16, on_cpu and _has_bfloat16(), cache_enabled=False)
    opt = torch.optim.Adam(layers.parameters(), lr=LR, fused=True)
    start = time.perf_counter()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x), device=DEVICE).split(BATCH):
            opt.zero_grad()
            with half:
                loss = F.cross_entropy(layers(pixels(x[batch])), y[batch])
            loss.backward()
            opt.step()
        with torch.no_grad(), half:
            for part in x_val.split(1_000):
                layers(pixels(part))
    if not on_cpu:
        torch.accelerator.synchronize()
    return (time.perf_counter() - start) / EPOCHS


def kindling() -> float:
    cfg, data, model = made()
    folder = tempfile.mkdtemp()
    cfg.folder = folder
    callbacks = [callback for node in cfg.callbacks.values() if node and (callback := build(node))]
    quiet = {"num_sanity_val_steps": 0, "enable_progress_bar": False, "enable_model_summary": False}
    start = time.perf_counter()
    with Run(folder, "benchmark") as run:
        trainer = auto(model, data, max_epochs=EPOCHS, logger=[TensorBoard(folder)], callbacks=callbacks, **quiet)
        run.begin(trainer, model, data, {}, cfg)
        trainer.fit(model, datamodule=data)
    seconds = (time.perf_counter() - start) / EPOCHS
    assert trainer.global_step == EPOCHS * -(-54_000 // BATCH)
    assert {"best.ckpt", "last.ckpt", "result.json", "metrics.csv"} <= {path.name for path in Path(folder).rglob("*")}
    return seconds


class Images(Dataset):
    """Returns one image at a time, like torchvision's MNIST with ToTensor and Normalize."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor):
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int):
        return self.x[i].float().div(255).sub(0.1307).div(0.3081), self.y[i]


class Stock(pl.LightningModule):
    """A module in the style of tutorials, with self.log and a metric in every step."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers
        self.train_accuracy, self.val_accuracy = MulticlassAccuracy(10), MulticlassAccuracy(10)

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.layers(x)
        loss = F.cross_entropy(logits, y)
        self.train_accuracy(logits, y)
        self.log("train/loss", loss, on_epoch=True)
        self.log("train/accuracy", self.train_accuracy, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.layers(x)
        self.val_accuracy(logits, y)
        self.log("val/loss", F.cross_entropy(logits, y))
        self.log("val/accuracy", self.val_accuracy)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=LR)


def stock() -> float:
    _, data, model = made()
    train, val = (Images(*data.samples[stage]) for stage in ("train", "val"))
    module = Stock(model.net.to(memory_format=torch.contiguous_format))
    folder = tempfile.mkdtemp()
    start = time.perf_counter()
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        devices=1,
        logger=TensorBoardLogger(folder),
        callbacks=[ModelCheckpoint(folder, monitor="val/loss")],
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(train, BATCH, shuffle=True), DataLoader(val, 1_000))
    return (time.perf_counter() - start) / EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    ways = {"raw loop": raw, "kindling": kindling, "stock": stock}
    raw()  # the very first run is slower
    print(f"{'device':9} {DEVICE}")
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    for name, seconds in times.items():
        ratio = statistics.median(s / r for s, r in zip(seconds, times["raw loop"], strict=True))
        print(f"{name:9} {statistics.median(seconds):6.2f} s   {ratio:5.2f}")


if __name__ == "__main__":
    main()
