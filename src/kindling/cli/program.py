"""Programs that Hydra runs: train.py, and commands that take its arguments."""

import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import arguments, resume
from kindling.cli.conf import CONF
from kindling.cli.errors import plain_errors
from kindling.cli.help import help_text


def start(main: Callable[[], None]) -> None:
    """Run train.py: answer --help, refuse what cannot be meant, and spell out resume=... for Hydra."""
    if {"--help", "-h"} & set(sys.argv):
        sys.exit(print(help_text()))
    with plain_errors():
        arguments.check(sys.argv[1:])
        sys.argv[1:] = resume.expand(sys.argv[1:])
        main()


def run(task: Callable[[DictConfig], None], words: list[str], run_dir: str | None = None) -> None:
    """Compose the config that `python train.py <words>` would have, and call a command's `task` with it.

    Args:
        run_dir: the folder that Hydra makes for it; None: as of a run.

    Raises:
        UserError: the arguments are of a sweep or of a run that has begun, or cannot be meant.
    """
    arguments.check(words)
    if {"-m", "--multirun"} & set(words) or any(word.startswith("resume=") for word in words):
        raise UserError("This command is of one variant that has not begun: leave -m and resume out.")
    sys.argv[1:] = [*([f"hydra.run.dir='{run_dir}'"] if run_dir else []), *words]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
