"""Load the config, data, model and checkpoints of a run. Only `load` and `data_and_model` import torch."""

import logging
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.build import build, reject_incompatible
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.foreign import reject_foreign_config
from kindling.cli.folders.read import STATUSES, check_records, read_config, read_result, read_table
from kindling.cli.overrides import register_resolvers
from kindling.cli.plain import to_dict
from kindling.files import BEST, LAST, child

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger("kindling")

SHORT = 60.0  # seconds of training that may be repeated


class NotPlain(UserError):
    """Raised for a checkpoint that contains more than plain data.

    Attributes:
        found: the name of the class or function that is not plain data.
    """

    def __init__(self, checkpoint: Path, found: str):
        super().__init__(
            f"{checkpoint} contains more than plain data ({found}), so loading it could execute arbitrary code. If "
            "you trust its source, add trust=true."
        )
        self.found = found


def config_of(folder: Path, trust: bool = False) -> DictConfig:
    """Return the config that a run was trained with.

    Args:
        folder: the run's folder.
        trust: accept everything that the config would call; see kindling.cli.folders.foreign.

    Raises:
        UserError: the folder is not a run folder, or building its config could execute arbitrary code.
    """
    file = folder / ".hydra" / "config.yaml"
    if (folder / "leaderboard.csv").is_file():
        raise UserError(f"run={folder} is the folder of a sweep: give that of one of its jobs, e.g. {winner(folder)}.")
    if (folder / "jobs.json").is_file():
        raise Damaged(folder / "leaderboard.csv", "it does not exist")
    if not file.is_file():
        raise UserError(f"run={folder} is not a run folder (it has no .hydra/config.yaml): give one, e.g. runs/.../...")
    register_resolvers()  # which the config's interpolations use
    cfg = read_config(folder)
    reject_incompatible(to_dict(cfg, resolve=False), folder)
    cfg.folder = str(folder)  # in the file it is ${hydra:runtime.output_dir}
    reject_foreign_config(cfg, folder, trust)
    return cfg


def winner(folder: Path) -> Path:
    """Return the folder of the best job of a sweep, or the folder itself if it is not that of a sweep.

    Raises:
        UserError: no job of the sweep has finished, or its leaderboard is damaged.
    """
    board = folder / "leaderboard.csv"
    if not board.is_file():
        return folder
    header, rows = read_table(board, "status", "folder")
    jobs = [(row[header.index("status")], row[header.index("folder")]) for row in rows]
    if unknown := [status for status, _ in jobs if status not in (*STATUSES, "unfinished", "baseline", "ensemble", "")]:
        raise Damaged(board, f"{unknown[0]} is not a status")
    finished = [name for status, name in jobs if status == "finished" and name]
    if not finished:
        raise UserError(f"{folder} has no finished job to predict with.")
    first = child(folder, finished[0], board)
    if not first.is_dir():
        raise Damaged(board, f"there is no folder {finished[0]}")
    return first


def checkpoint_to_resume(folder: Path) -> Path | None:
    """Return the path of a run's last checkpoint, or None for a run that ended before the first one.

    Raises:
        UserError: the run has trained, but its last checkpoint is gone.
    """
    last, result = folder / LAST, folder / "result.json"
    if last.is_file():
        return last
    # Within its first seconds a run that is interrupted or fails has no last.ckpt yet, but writes best.ckpt.
    has_begun = result.is_file() and read_result(folder).get("seconds", SHORT) < SHORT
    if (folder / BEST).is_file() and not has_begun:
        raise UserError(
            f"{folder} has no {LAST} to resume from, only {BEST}, which evaluate and predict can use: start a new run."
        )
    log.info(f"{folder} has no checkpoint, so training starts again")
    return None


def data_and_model(cfg: DictConfig) -> "tuple[pl.LightningDataModule, pl.LightningModule]":
    """Return the data and the model of a run, with initial weights, as train.py instantiates them."""
    import pytorch_lightning as pl

    from kindling.data.base import model_kwargs

    pl.seed_everything(cfg.get("seed", 0), verbose=False)
    data = build(cfg.data)
    return data, build(cfg.model, **model_kwargs(data))


def load(checkpoint: Path, trust: bool = False) -> dict[str, Any]:
    """Load a checkpoint; unless it is trusted, without running code from it.

    Raises:
        NotPlain: it contains more than plain data.
        Damaged: it cannot be read.
    """
    check_records(checkpoint)
    import torch

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=not trust)
    except Exception as error:  # of any type, because unpickling calls what the file names
        if isinstance(error, MemoryError) or "allocate" in str(error):
            raise
        found = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if found:
            raise NotPlain(checkpoint, found[1]) from error
        raise Damaged(checkpoint, str(error).partition("\n")[0] or repr(error)) from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise Damaged(checkpoint, "it is not a checkpoint of Lightning, which has a state_dict")
    return state
