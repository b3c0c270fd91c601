"""The config, data and model of a run, from its folder. Only `data_and_model` imports torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.build import build, reject_incompatible
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.foreign import reject_foreign_config
from kindling.cli.folders.read import STATUSES, read_config, read_table
from kindling.cli.plain import to_dict
from kindling.cli.resolvers import register_resolvers
from kindling.files import child

if TYPE_CHECKING:
    import pytorch_lightning as pl


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


def data_and_model(cfg: DictConfig) -> "tuple[pl.LightningDataModule, pl.LightningModule]":
    """Return the data and the model of a run, with initial weights, as train.py instantiates them."""
    import pytorch_lightning as pl

    from kindling.data.base import model_kwargs

    pl.seed_everything(cfg.get("seed", 0), verbose=False)
    data = build(cfg.data)
    return data, build(cfg.model, **model_kwargs(data))
