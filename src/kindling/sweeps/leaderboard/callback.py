"""Rank the jobs after every multirun. Does not import torch, pandas or matplotlib."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from kindling import UserError
from kindling.sweeps.leaderboard.make import make_board

__all__ = ["Leaderboard", "make_board"]

log = logging.getLogger("kindling")


class Leaderboard(Callback):
    """Makes the leaderboard after every multirun, and exits with code 1 if a job has not finished.

    Hydra turns exceptions of callbacks into warnings and exits with 0, so they are handled here.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            board = make_board(Path(config.hydra.sweep.dir))
        except UserError as error:
            sys.exit(str(error))
        except Exception:
            log.exception("The leaderboard could not be made:")
            sys.exit(1)
        if any(job.status != "finished" for job in board.jobs):
            sys.exit(1)
