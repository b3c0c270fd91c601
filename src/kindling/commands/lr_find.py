"""Print a learning rate, and the command that trains with it.

It takes the arguments of train.py.
"""

import csv
import logging
from pathlib import Path

from omegaconf import DictConfig

from kindling.cli import program
from kindling.cli.overrides import command, task_overrides
from kindling.files import display_path

log = logging.getLogger("kindling")

USAGE = "python -m kindling lr_find <arguments of train.py>"
FOLDER = "runs/lr_find/${hydra:runtime.choices.data}-${hydra:runtime.choices.model}/"
FOLDER += "${now:%Y-%m-%d_%H-%M-%S}${changed:${hydra:overrides.task}}_${unique:}"


def main(words: list[str]) -> None:
    program.run(find_lr, words, FOLDER)


def find_lr(cfg: DictConfig) -> None:
    from kindling.callbacks.lr_find import TENTH, find, suggestion
    from kindling.plots.lr_find import draw_range
    from kindling.plots.save import png
    from kindling.training.tolerate import optional

    seen = find(cfg)
    folder, rate = Path(cfg.folder), suggestion(seen)
    with (folder / "lr_find.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["lr", "loss", "smoothed"], *seen])
    with optional("curve of the loss"):
        (folder / "lr_find.png").write_bytes(png(draw_range(seen, rate)))
    words = [word for word in task_overrides() if word.partition("=")[0] != "lr"]
    if rate is None:
        log.info("The loss did not fall at any learning rate: look at the data, the model or the optimizer.")
    else:
        log.info(f"lr={rate:g}   1/{TENTH} of that with the least loss")
        log.info(f"command  {command([*words, f'lr={rate:g}'])}")
    if (folder / "lr_find.png").exists():
        log.info(f"curve    {display_path(folder / 'lr_find.png')}")
