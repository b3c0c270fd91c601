"""Programs run by Hydra: train.py, and the commands that take the same arguments."""

import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import arguments, entry
from kindling.cli.conf import CONF
from kindling.cli.errors import plain_errors
from kindling.cli.folders import resume
from kindling.cli.help import help_text


def start(main: Callable[[], None]) -> None:
    """Run train.py: print --help, check the arguments, and expand resume=... for Hydra."""
    if {"--help", "-h"} & set(sys.argv):
        print(help_text())
        sys.exit()
    with plain_errors():
        arguments.check(sys.argv[1:])
        sys.argv[1:] = resume.expand(sys.argv[1:])
        try:
            main()
        finally:
            entry.ignore_signals()


def run(task: Callable[[DictConfig], None], args: list[str], run_dir: str | None = None) -> None:
    """Compose the config that `python train.py <args>` would have, and call a command's `task` with it.

    Args:
        task: the command's function of the config.
        args: the arguments of train.py.
        run_dir: the folder that Hydra creates; None: that of a run.

    Raises:
        UserError: an argument is invalid, or belongs to a sweep or a resumed run.
    """
    arguments.check(args)
    if {"-m", "--multirun"} & set(args) or any(arg.startswith("resume=") for arg in args):
        raise UserError("This command needs a single new run: remove -m and resume.")
    sys.argv[1:] = [*([f"hydra.run.dir='{run_dir}'"] if run_dir else []), *args]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
