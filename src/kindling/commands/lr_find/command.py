"""Suggest a learning rate, and print the command that trains with it.

It takes the arguments of train.py.
"""

import csv
import logging
from pathlib import Path

from omegaconf import DictConfig

from kindling.cli import program
from kindling.cli.overrides import command, task_overrides
from kindling.files import display_path, write_atomically

log = logging.getLogger("kindling")

USAGE = "python -m kindling lr_find <arguments of train.py>"
FOLDER = "runs/lr_find/${name:${hydra:runtime.choices.data}-${hydra:runtime.choices.model}}/"
FOLDER += "${now:%Y-%m-%d_%H-%M-%S}${changed:${hydra:overrides.task}}_${unique:}"


def main(args: list[str]) -> None:
    program.run(find_lr, args, FOLDER)


def find_lr(cfg: DictConfig) -> None:
    from kindling.commands.lr_find.range_test import FRACTION, find, suggestion
    from kindling.plots.lr_find import draw_range
    from kindling.plots.save import png
    from kindling.training.tolerate import optional

    steps = find(cfg)
    folder, rate = Path(cfg.folder), suggestion(steps)
    with (folder / "lr_find.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["lr", "loss", "smoothed"], *steps])
    with optional("curve of the loss"):
        write_atomically(folder / "lr_find.png", png(draw_range(steps, rate)))
    overrides = [override for override in task_overrides() if override.partition("=")[0] != "lr"]
    if rate is None:
        log.info("The loss did not decrease at any learning rate: check the data, the model and the optimizer.")
    else:
        log.info(f"lr={rate:g}   1/{FRACTION} of the learning rate with the lowest loss")
        log.info(f"command  {command([*overrides, f'lr={rate:g}'])}")
    if (folder / "lr_find.png").exists():
        log.info(f"curve    {display_path(folder / 'lr_find.png')}")
