"""A run that has ended: its config, its data and its model. Torch is imported by `load` and `data_and_model`."""

import pickle
import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.build import build, refuse_incompatible
from kindling.cli.overrides import register_resolvers
from kindling.files import BEST


class NotPlain(UserError):
    """A checkpoint holds more than plain data.

    Attributes:
        held: the name of what is no plain data, or what torch says of it.
    """

    def __init__(self, checkpoint: Path, held: str):
        super().__init__(
            f"{checkpoint} holds more than plain data ({held}), so opening it could run any program. If you know where "
            "it comes from, add trust=true."
        )
        self.held = held


def config_of(folder: Path) -> DictConfig:
    """What the run was made from.

    Raises:
        UserError: it is no run folder.
    """
    file = folder / ".hydra" / "config.yaml"
    if not file.is_file():
        raise UserError(f"run={folder} is no run folder (it has no .hydra/config.yaml): give one, e.g. runs/.../...")
    register_resolvers()  # what the config is written with
    cfg = OmegaConf.load(file)
    refuse_incompatible(OmegaConf.to_container(cfg, resolve=False), folder)
    cfg.folder = str(folder)  # there it says ${hydra:runtime.output_dir}
    return cfg


def best_checkpoint(folder: Path) -> Path:
    """Return the checkpoint with the best weights of a run.

    Raises:
        UserError: there is none.
    """
    best = folder / BEST
    if not best.is_file():
        raise UserError(f"{folder} has no checkpoints/best.ckpt: it ended before its first epoch did. Train it again.")
    return best


def data_and_model(cfg: DictConfig) -> tuple:
    """Return the data and the model of a run, with start weights, as train.py makes them."""
    import pytorch_lightning as pl

    from kindling.data.base import model_kwargs

    pl.seed_everything(cfg.get("seed", 0), verbose=False)
    data = build(cfg.data)
    return data, build(cfg.model, **model_kwargs(data))


def load(checkpoint: Path, trust: bool = False) -> dict:
    """Open a checkpoint without executing anything that it holds, unless it is trusted.

    Raises:
        NotPlain: it holds more than plain data.
        UserError: it cannot be read.
    """
    import torch

    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            raise NotPlain(checkpoint, found[1]) from error
        raise UserError(f"{checkpoint} cannot be read: {str(error).splitlines()[0]}") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise UserError(
            f"{checkpoint} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error
