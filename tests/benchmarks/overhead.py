"""Measure the overhead of Kindling: the time of training over that of a raw PyTorch loop.

    python tests/benchmarks/overhead.py            # 5 rounds, about 6 minutes on two cores, mostly the stock module
    python tests/benchmarks/overhead.py --rounds 1 --no-stock

The same network is trained by a raw loop without logging, by Kindling, and by a typical ("stock") Lightning module that
logs the same metrics. Ratios are relative to the raw loop without fused optimizer of the same round. Times include
training and all files, but not the construction of objects. The logged metrics are counted before a ratio is printed.
Pictures are not included; the last row has their share of a default run (see shares.py).
"""

import argparse
import contextlib
import csv
import gc
import io
import logging
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import shares
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryF1Score, BinaryPrecision, BinaryRecall

from kindling.cli.build import build
from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.models.mlp import Deep
from kindling.training.loggers import TensorBoard
from kindling.training.run import Run

PROJECT = Path(__file__).parents[2]
TRAIN, VAL, BATCH, EPOCHS = 607, 161, 32, 100
NAMES = ("loss", "accuracy", "precision", "recall", "f1", "auroc")
OPTIMIZERS = {"SGD": (torch.optim.SGD, 0.1), "Adam": (torch.optim.Adam, 0.003)}


class RandomSamples(Data):
    """607 training and 161 validation samples, with 8 or 2 columns."""

    def __init__(self, columns: int, **data):
        super().__init__(val_share=VAL / (TRAIN + VAL), test_share=0.0, scale="none", batch_size=BATCH, **data)
        self.columns = columns

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(TRAIN + VAL, self.columns, generator=generator)
        noise = torch.randn(TRAIN + VAL, 1, generator=generator)
        return Examples(x, ((x.sum(1, keepdim=True) + noise) > 0).float(), "binary", ["no", "yes"])


def net(sizes: list[int], steps_per_execution: str = "auto", optimizer=None) -> tuple[Data, Deep]:
    torch.manual_seed(0)
    data = RandomSamples(sizes[0], steps_per_execution=steps_per_execution)
    return data, Deep(**data.model_kwargs(), hidden_sizes=sizes[1:-1], optimizer=optimizer)


def raw(sizes: list[int], optimizer) -> float:
    data, model = net(sizes)
    (x, y), layers = data.samples["train"], model.net
    opt, loss_of = optimizer(layers.parameters()), torch.nn.functional.binary_cross_entropy_with_logits
    start = time.perf_counter()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            opt.zero_grad()
            loss_of(layers(x[batch]), y[batch]).backward()
            opt.step()
    return time.perf_counter() - start


def kindling(sizes: list[int], optimizer, steps_per_execution: str = "auto") -> float:
    folder = tempfile.mkdtemp()
    data, model = net(sizes, steps_per_execution, optimizer)
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"folder={folder}", "pictures=none"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)  # as in `python train.py`
    cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    callbacks = [callback for node in cfg.callbacks.values() if node and (callback := build(node))]
    start = time.perf_counter()
    with Run(folder, "benchmark") as run:
        trainer = pl.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=[TensorBoard(folder)],
            callbacks=callbacks,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        run.begin(trainer, model, data, {"sizes": str(sizes)}, cfg)
        trainer.fit(model, datamodule=data)
    seconds = time.perf_counter() - start
    assert trainer.global_step == EPOCHS * 19
    tags = {f"{stage}/{name}" for stage in ("train", "val") for name in NAMES}
    count_scalars(folder, tags)
    with open(f"{folder}/metrics.csv", encoding="utf-8") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, EPOCHS + 1))
    files = {path.name for path in Path(folder).rglob("*")}
    assert {"best.ckpt", "last.ckpt", "result.json"} <= files, files
    return seconds


class Stock(pl.LightningModule):
    """A module in the style of tutorials, with torchmetrics and self.log in every step."""

    def __init__(self, layers: torch.nn.Module, optimizer):
        super().__init__()
        self.layers, self.optimizer = layers, optimizer
        metrics = {
            "accuracy": BinaryAccuracy(),
            "precision": BinaryPrecision(),
            "recall": BinaryRecall(),
            "f1": BinaryF1Score(),
            "auroc": BinaryAUROC(),
        }
        self.scores = torch.nn.ModuleDict(
            {f"{s}_": MetricCollection(metrics).clone(prefix=f"{s}/") for s in ("train", "val")}
        )

    def step(self, batch, stage: str):
        x, y = batch
        logits = self.layers(x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
        self.scores[f"{stage}_"].update(logits.sigmoid(), y.int())
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log_dict(self.scores[f"{stage}_"], on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.step(batch, "val")

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


def stock(sizes: list[int], optimizer) -> float:
    folder = tempfile.mkdtemp()
    data, model = net(sizes)
    train = DataLoader(TensorDataset(*data.samples["train"]), batch_size=BATCH, shuffle=True)
    val = DataLoader(TensorDataset(*data.samples["val"]), batch_size=BATCH)
    module = Stock(model.net, optimizer)
    start = time.perf_counter()
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=[TensorBoardLogger(folder, name="", version=""), CSVLogger(folder, name="csv", version="")],
        callbacks=[ModelCheckpoint(folder, monitor="val/loss", save_last=True), TQDMProgressBar()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=19,
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer.fit(module, train, val)
    seconds = time.perf_counter() - start
    count_scalars(folder, {f"{stage}/{name}" for stage in ("train", "val") for name in NAMES})
    return seconds


def isolated(way, sizes: list[int], optimizer) -> float:
    """Measure like in a new process, without garbage collection of objects that earlier runs left."""
    gc.collect()
    gc.freeze()
    return way(sizes, optimizer)


def count_scalars(folder: str, tags: set[str]) -> None:
    """Check that the event files have every tag for every epoch."""
    events = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    counted = {tag: len(events.Scalars(tag)) for tag in tags & set(events.Tags()["scalars"])}
    assert counted == dict.fromkeys(tags, EPOCHS), counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-stock", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)  # Kindling chooses one thread for such networks, and the others do not benefit from two
    warnings.filterwarnings("ignore")
    rows = [
        f"{'':10} {'':5} {'raw':>7} {'raw fused':>10} {'kindling':>10} {'steps_per_execution=1':>10} {'stock':>8}"
        "   (medians; raw in s, then ratios to it)"
    ]
    for sizes in ([8, 6, 4, 1], [2, 25, 25, 1]):
        for name, (kind, lr) in OPTIMIZERS.items():
            plain, fused = partial(kind, lr=lr), partial(kind, lr=lr, fused=True)
            ways = [(raw, plain), (raw, fused), (kindling, fused), (partial(kindling, steps_per_execution=1), fused)]
            ways += [] if options.no_stock else [(stock, fused)]
            kindling(sizes, fused)  # warm-up: imports matplotlib
            with contextlib.redirect_stderr(io.StringIO()):
                times = [[isolated(way, sizes, optimizer) for way, optimizer in ways] for _ in range(options.rounds)]
            ratios = [statistics.median(t[i] / t[0] for t in times) for i in range(1, len(ways))]
            first = statistics.median(t[0] for t in times)
            cells = "".join(f"{r:>{w}.2f}" for r, w in zip(ratios, (11, 11, 11, 9), strict=False))
            rows.append(f"{'-'.join(map(str, sizes)):10} {name:5} {first:7.3f}{cells}")
            print(rows[-1], flush=True)
    print("\n".join(["", *rows]))
    print(shares.row(options.rounds))


if __name__ == "__main__":
    main()
