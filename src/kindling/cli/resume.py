"""`resume=...`: from the word to the folder, and to the config that the run was started with. Does not import torch."""

import json
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.build import refuse_older
from kindling.cli.conf import RESUMABLE
from kindling.cli.overrides import search_path, typed
from kindling.files import LAST, replacing


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
    rest = [word for word in words if not word.startswith("resume=") and word not in flags]
    name = asked[-1].removeprefix("resume=").strip("'\"")
    folder = _last(rest, sweep=bool(flags)) if name == "last" else _folder(name, sweep=bool(flags))
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
    refuse_older(OmegaConf.to_container(old, resolve=False), Path(cfg.folder))
    path = search_path(OmegaConf.load(hydra / "hydra.yaml").hydra)
    for key in {key.split(".")[0] for key in words}:
        old[key] = new[key]
    kept = [word for word in OmegaConf.load(hydra / "overrides.yaml") if not typed([word]).keys() & words.keys()]
    return old, [*path, *kept, *(word for word in overrides if not word.startswith("resume="))]


def keep(cfg: DictConfig, overrides: list[str]) -> None:
    """Write down what a run goes on with, for the next time it is resumed; once it has really begun."""
    hydra = Path(cfg.folder) / ".hydra"
    for file, content in ((hydra / "config.yaml", cfg), (hydra / "overrides.yaml", OmegaConf.create(overrides))):
        with replacing(file) as part:
            OmegaConf.save(content, part)


def _folder(name: str, sweep: bool) -> Path:
    """Return the run's folder or, with `jobs.json`, the sweep's."""
    kind, wanted = ("sweep", ["jobs.json"]) if sweep else ("run", [".hydra", "jobs.json"])
    if not any((Path(name) / mark).exists() for mark in wanted):
        raise UserError(f"resume={name} is no {kind} folder (it has no {wanted[0]}): give one, or resume=last.")
    return Path(name)


def _last(overrides: list[str], sweep: bool) -> Path:
    """Return the newest folder that can be resumed, and say why newer ones cannot.

    Args:
        overrides: what else was given.
        sweep: look for sweeps only.
    """
    places = ["sweeps/*/jobs.json"] if sweep else ["[!s]*/*/.hydra", "s[!w]*/*/.hydra", "sweeps/*/jobs.json"]
    found = [path for place in places for path in Path("runs").glob(place)]
    skipped = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = path.parent
        reason = _sweep_is_over(folder, overrides) if path.name == "jobs.json" else _run_is_over(folder, overrides)
        if not reason:
            newer = f", and not {'; '.join(skipped)}" if skipped else ""
            print(f"resume=last takes {folder}{newer}", file=sys.stderr)
            return folder
        skipped.append(f"{folder} ({reason})")
    none = f" that can be resumed: {'; '.join(skipped)}" if skipped else ""
    raise UserError(f"resume=last finds no {'sweep' if sweep else 'run'} in {Path.cwd() / 'runs'}{none}.")


def _run_is_over(folder: Path, overrides: list[str]) -> str:
    """Return why a run cannot be resumed, or nothing."""
    status = _status(folder)
    if status == "diverged":
        return "diverged"
    if not (folder / LAST).is_file():
        return "ended before its first checkpoint"
    continues = status != "finished" or "epochs" in typed(overrides)
    return "" if continues else "finished; epochs=... would continue it"


def _sweep_is_over(folder: Path, overrides: list[str]) -> str:
    """Return the same for a sweep, which may also get more jobs or trials."""
    jobs = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))["jobs"]
    is_over = not overrides and all(_status(folder / job["folder"]) == "finished" for job in jobs)
    return "finished" if is_over else ""


def _status(folder: Path) -> str | None:
    file = folder / "result.json"
    return json.loads(file.read_text(encoding="utf-8")).get("status") if file.is_file() else None


def _words_of_sweep(folder: Path, now: list[str]) -> list[str]:
    """What was typed for it, sweeper and launcher included, and what is typed for Hydra now."""
    overrides = OmegaConf.load(folder / "multirun.yaml").hydra.overrides
    again = {"hydra.mode", "hydra.sweep.dir", *typed(now)}
    return [*overrides.task, *(word for word in overrides.hydra if not typed([word]).keys() & again), *now]
