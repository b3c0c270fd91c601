"""`python -m kindling.lr_find <words of train.py>` prints a learning rate, and the command that trains with it."""

from kindling import entry

if __name__ == "__main__":
    entry.begin()

import csv
import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from kindling import UserError, arguments, cli

log = logging.getLogger("kindling")

FOLDER = "runs/lr_find/${hydra:runtime.choices.data}-${hydra:runtime.choices.model}/"
FOLDER += "${now:%Y-%m-%d_%H-%M-%S}${changed:${hydra:overrides.task}}_${unique:}"


@hydra.main(version_base="1.3", config_path=str(cli.CONF), config_name="config")
def main(cfg: DictConfig) -> None:
    from kindling.lr_find.draw import draw_range
    from kindling.lr_find.find import TENTH, find, suggestion
    from kindling.optional import optional
    from kindling.records import png

    seen = find(cfg)
    folder, rate = Path(cfg.folder), suggestion(seen)
    with (folder / "lr_find.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["lr", "loss", "smoothed"], *seen])
    with optional("curve of the loss"):
        (folder / "lr_find.png").write_bytes(png(draw_range(seen, rate)))
    words = [word for word in HydraConfig.get().overrides.task if word.partition("=")[0] != "lr"]
    if rate is None:
        log.info("The loss did not fall at any learning rate: look at the data, the model or the optimizer.")
    else:
        log.info(f"lr={rate:g}   1/{TENTH} of that with the least loss")
        log.info(f"command  {cli.command([*words, f'lr={rate:g}'])}")
    if (folder / "lr_find.png").exists():
        log.info(f"curve    {os.path.relpath(folder / 'lr_find.png')}")


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv):
        sys.exit(print(__doc__))
    with cli.plain_errors():
        arguments.check(sys.argv[1:])
        if {"-m", "--multirun"} & set(sys.argv) or any(word.startswith("resume=") for word in sys.argv):
            raise UserError("lr_find is of one variant that has not begun: leave -m and resume out.")
        sys.argv[1:1] = [f"hydra.run.dir='{FOLDER}'"]
        main()
