"""`resume=...`: from the word to the folder, and to the config that the run was started with. Does not import torch."""

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kindling import UserError

RESUMABLE = ("epochs", "trainer", "verbose", "resume")  # what a resumed run may change


def expand(words: list[str]) -> list[str]:
    """Command-line words with `resume=...` spelled out for Hydra, and flags before overrides, as its parser wants them.

    Raises:
        UserError: there is no such run.
    """
    flags = [word for word in words if word in ("-m", "--multirun")]
    words = [*flags, *(word for word in words if word not in flags)]
    asked = [word for word in words if word.startswith("resume=") and word != "resume=null"]
    if not asked or "LOCAL_RANK" in os.environ:  # a DDP child gets its parent's words
        return words
    if flags:
        raise UserError("resume=... continues one run and cannot be swept: leave -m out.")
    folder = _run_folder(asked[-1].removeprefix("resume=").strip("'\""))
    rest = [word for word in words if not word.startswith("resume=")]
    return [*rest, f"resume='{folder}'", f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


def resumed(cfg: DictConfig, overrides: list[str]) -> tuple[DictConfig, list[str]]:
    """The config and the words that the run in `cfg.folder` was started with, and what was typed now.

    Raises:
        UserError: something typed now cannot change in a run that has begun.
    """
    words = typed(overrides)
    for key, value in words.items():
        if key.split(".")[0] not in RESUMABLE:
            raise UserError(
                f"{key}={value} cannot change in a resumed run (only {', '.join(RESUMABLE[:-1])}): start a new one"
            )
    hydra = Path(cfg.folder) / ".hydra"
    old, new = OmegaConf.load(hydra / "config.yaml"), OmegaConf.to_container(cfg, resolve=False)
    for key in {key.split(".")[0] for key in words}:
        old[key] = new[key]
    kept = [word for word in OmegaConf.load(hydra / "overrides.yaml") if not typed([word]).keys() & words.keys()]
    return old, [*kept, *(word for word in overrides if not word.startswith("resume="))]


def keep(cfg: DictConfig, overrides: list[str]) -> None:
    """Write down what a run goes on with, for the next time it is resumed; once it has really begun."""
    hydra = Path(cfg.folder) / ".hydra"
    for file, content in ((hydra / "config.yaml", cfg), (hydra / "overrides.yaml", OmegaConf.create(overrides))):
        OmegaConf.save(content, file.with_suffix(".part"))
        os.replace(file.with_suffix(".part"), file)


def _run_folder(name: str) -> Path:
    if name != "last":
        if not (Path(name) / ".hydra").is_dir():
            raise UserError(f"resume={name} is no run folder (it has no .hydra/): give one, or resume=last.")
        return Path(name)
    found = (folder for pattern in ("*/*/.hydra", "sweeps/*/*/.hydra") for folder in Path("runs").glob(pattern))
    runs = sorted(found, key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"resume=last finds no run in {Path.cwd() / 'runs'}.")
    return runs[-1].parent


def typed(overrides: list[str]) -> dict[str, str]:
    """What stands on the command line, key -> value."""
    pairs = (word.lstrip("+~").split("=", 1) for word in overrides)
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
