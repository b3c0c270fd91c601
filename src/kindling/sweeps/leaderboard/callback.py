"""Rank the jobs after every multirun. Does not import torch, pandas or matplotlib."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.errors import plain_errors
from kindling.sweeps.leaderboard.baselines.trees import tree_names
from kindling.sweeps.leaderboard.make import make_board

__all__ = ["Leaderboard", "make_board"]

OPTION = "sweep.baselines"
log = logging.getLogger("kindling")


def _baselines(config: DictConfig) -> list[str]:
    """Return the additional baselines; in a sweep, Hydra leaves a list without brackets to its overrides."""
    overrides = [
        override.lstrip("+").partition("=") for override in OmegaConf.select(config, "hydra.overrides.task") or []
    ]
    given = [value for name, _, value in overrides if name == OPTION]
    return tree_names(given[-1] if given else OmegaConf.select(config, OPTION), OPTION)


class Leaderboard(Callback):
    """Makes the leaderboard after every multirun, and exits with code 1 if a job has not finished.

    Hydra turns exceptions of callbacks into warnings and exits with 0, so they are handled here.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Reject unknown baselines, and those that lack a package, before anything is trained."""
        with plain_errors():
            _baselines(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            board = make_board(Path(config.hydra.sweep.dir), _baselines(config))
        except UserError as error:
            sys.exit(str(error))
        except Exception:
            log.exception("The leaderboard could not be made:")
            sys.exit(1)
        if any(job.status != "finished" for job in board.jobs):
            sys.exit(1)
