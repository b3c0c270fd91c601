"""`resume=...`: from the word to the folder, and to the config that the run was started with. Does not import torch."""

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kindling import UserError

RESUMABLE = ("epochs", "trainer", "trust", "verbose", "resume")  # what a resumed run may change


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
    folder = _folder(asked[-1].removeprefix("resume=").strip("'\""), sweep=bool(flags))
    rest = [word for word in words if not word.startswith("resume=") and word not in flags]
    if (folder / "jobs.json").exists():
        is_new = any(not word.startswith("hydra") for word in rest)  # else only how it is run
        return ["-m", *(rest if is_new else _words_of_sweep(folder, rest)), f"hydra.sweep.dir='{folder}'"]
    if not (folder / ".hydra" / "hydra.yaml").exists():
        raise UserError(
            f"{folder} was trained together with other jobs, and has no state of its own to go on from: resume its "
            f"sweep, resume={folder.parent}, or run its command again (result.json has it)."
        )
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


def _folder(name: str, sweep: bool) -> Path:
    """The run's or, with `jobs.json`, the sweep's."""
    if name != "last":
        kind, wanted = ("sweep", ["jobs.json"]) if sweep else ("run", [".hydra", "jobs.json"])
        if not any((Path(name) / mark).exists() for mark in wanted):
            raise UserError(f"resume={name} is no {kind} folder (it has no {wanted[0]}): give one, or resume=last.")
        return Path(name)
    places = ["sweeps/*/jobs.json"] if sweep else ["[!s]*/*/.hydra", "s[!w]*/*/.hydra", "sweeps/*/jobs.json"]
    found = [path for place in places for path in Path("runs").glob(place)]
    if not found:
        raise UserError(f"resume=last finds no {'sweep' if sweep else 'run'} in {Path.cwd() / 'runs'}.")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def _words_of_sweep(folder: Path, now: list[str]) -> list[str]:
    """What was typed for it, sweeper and launcher included, and what is typed for Hydra now."""
    overrides = OmegaConf.load(folder / "multirun.yaml").hydra.overrides
    again = {"hydra.mode", "hydra.sweep.dir", *typed(now)}
    return [*overrides.task, *(word for word in overrides.hydra if not typed([word]).keys() & again), *now]


def typed(overrides: list[str]) -> dict[str, str]:
    """What stands on the command line, key -> value."""
    pairs = (word.lstrip("+~").split("=", 1) for word in overrides)
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
