"""Resolve `resume=...` to a folder and to the config that the run was started with. Does not import torch."""

import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.build import reject_incompatible
from kindling.cli.conf import RESUMABLE
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.foreign import reject_foreign_config, reject_foreign_overrides
from kindling.cli.folders.read import (
    check_records,
    read_config,
    read_hydra,
    read_json,
    read_overrides,
    read_result,
    read_yaml,
)
from kindling.cli.overrides import parse_overrides, search_path
from kindling.cli.plain import to_dict
from kindling.files import LAST, child, has_config, reject_links, replacing

MAX_LISTED = 3  # newer runs that resume=last names as not resumable


def expand(args: list[str]) -> list[str]:
    """Return the arguments with `resume=...` expanded for Hydra, and flags moved to the front, as its parser requires.

    Raises:
        UserError: there is no such run.
    """
    flags = [arg for arg in args if arg in ("-m", "--multirun")]
    args = [*flags, *(arg for arg in args if arg not in flags)]
    requested = [arg for arg in args if arg.startswith("resume=") and arg != "resume=null"]
    if not requested or "LOCAL_RANK" in os.environ:  # a DDP child process gets its parent's expanded arguments
        return args
    rest = [arg for arg in args if not arg.startswith("resume=") and arg not in flags]
    name = requested[-1].removeprefix("resume=").strip("'\"")
    folder = _last(rest, sweep=bool(flags)) if name == "last" else _folder(name, sweep=bool(flags))
    reject_links(folder)
    if (folder / "multirun.yaml").exists():
        has_new_values = any(not arg.startswith(("hydra", "trust=", "verbose=")) for arg in rest)
        return ["-m", *(rest if has_new_values else _sweep_args(folder, rest)), f"hydra.sweep.dir='{folder}'"]
    if not (folder / "result.json").exists() and not has_config(folder):
        raise UserError(f"{folder} has no complete config, because its run ended while it started: start a new run.")
    if not (folder / ".hydra" / "hydra.yaml").exists():
        raise UserError(
            f"{folder} was trained together with other jobs and has no state of its own to resume from: resume the "
            f"sweep with resume={folder.parent}, or run the command in its result.json again."
        )
    return [*rest, f"resume='{folder}'", f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


def load_config(cfg: DictConfig, overrides: list[str]) -> tuple[DictConfig, list[str]]:
    """Return the config and overrides that the run in `cfg.folder` was started with, updated by the given overrides.

    Raises:
        UserError: one of the given overrides cannot change when a run is resumed.
    """
    given = parse_overrides(overrides)
    for key, value in given.items():
        if key.split(".")[0] not in RESUMABLE:
            raise UserError(
                f"{key}={value} cannot change when a run is resumed (only {', '.join(RESUMABLE[:-1])} can): "
                "start a new run."
            )
    old, new = read_config(Path(cfg.folder)), to_dict(cfg, resolve=False)
    reject_incompatible(to_dict(old, resolve=False), Path(cfg.folder))
    old.trust, old.folder = cfg.trust, new["folder"]  # never what the folder says
    reject_foreign_config(old, Path(cfg.folder), trust=bool(cfg.trust))
    path = search_path(read_hydra(Path(cfg.folder)))
    for key in {key.split(".")[0] for key in given}:
        old[key] = new[key]
    original = [arg for arg in read_overrides(Path(cfg.folder)) if not arg.startswith("hydra.")]  # see search_path
    reject_foreign_overrides(original, Path(cfg.folder), trust=bool(cfg.trust))  # of the command that is printed
    kept = [arg for arg in original if not parse_overrides([arg]).keys() & given.keys()]
    return old, [*path, *kept, *(arg for arg in overrides if not arg.startswith("resume="))]


def save_config(cfg: DictConfig, overrides: list[str]) -> None:
    """Save the config and overrides of a resumed run, once it has really begun, for the next time it is resumed."""
    hydra = Path(cfg.folder) / ".hydra"
    kept, new = read_config(Path(cfg.folder)), to_dict(cfg, resolve=False)
    for key in RESUMABLE:
        kept[key] = None if key == "resume" else new[key]
    for file, content in ((hydra / "config.yaml", kept), (hydra / "overrides.yaml", OmegaConf.create(overrides))):
        with replacing(file) as part:
            OmegaConf.save(content, part)


def _folder(name: str, sweep: bool) -> Path:
    """Return the folder of a run or sweep after checking that it is one."""
    kind, required = ("sweep", ["multirun.yaml"]) if sweep else ("run", [".hydra", "multirun.yaml"])
    if not any((Path(name) / file).exists() for file in required):
        raise UserError(f"resume={name} is not a {kind} folder (it has no {required[0]}): give one, or resume=last.")
    return Path(name)


def _last(overrides: list[str], sweep: bool) -> Path:
    """Return the newest folder that can be resumed, and print why newer ones cannot.

    Args:
        overrides: the other overrides that were given.
        sweep: search for sweeps only.
    """
    runs = [] if sweep else ["*/.hydra", "[!s]*/*/.hydra", "s[!w]*/*/.hydra"]
    found = [path for pattern in [*runs, "sweeps/*/multirun.yaml"] for path in Path("runs").glob(pattern)]
    skipped: list[str] = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        folder = path.parent
        reason = _why_not_sweep(folder, overrides) if path.name == "multirun.yaml" else _why_not_run(folder, overrides)
        if not reason:
            more = f"; and {len(skipped) - MAX_LISTED} more" if len(skipped) > MAX_LISTED else ""
            newer = f"; newer ones that cannot be resumed: {'; '.join(skipped[:MAX_LISTED])}{more}" if skipped else ""
            print(f"resume=last resumes {folder}{newer}", file=sys.stderr)
            return folder
        skipped.append(f"{folder} ({reason})")
    kind, others = "sweep" if sweep else "run", f"; nor can {len(skipped) - 1} older ones" * (len(skipped) > 1)
    newest = f". The newest cannot be resumed: {skipped[0]}{others}" if skipped else ""
    raise UserError(f"resume=last found no {kind} to resume in {Path.cwd() / 'runs'}{newest}. Start a new {kind}.")


def _why_not_run(folder: Path, overrides: list[str]) -> str:
    """Return why a run cannot be resumed, or an empty string."""
    try:
        status = _status(folder)
    except Damaged as error:
        return f"{error.path.name} cannot be read: {error.why}"
    if status == "diverged":
        return "diverged"
    if status is None and not has_config(folder):
        return "ended while it started"
    if status == "failed" and not (folder / LAST).is_file():
        return "failed before its first checkpoint"
    if status == "finished" and "epochs" not in parse_overrides(overrides):
        return "finished; epochs=... would continue it"
    try:
        if (folder / LAST).exists():
            check_records(folder / LAST)
    except Damaged as error:
        return f"{LAST.name} cannot be read: {error.why}"
    return ""


def _why_not_sweep(folder: Path, overrides: list[str]) -> str:
    """Return why a sweep cannot be resumed, or an empty string; overrides may add jobs or trials to it."""
    listed = folder / "jobs.json"
    try:
        entries = read_json(listed, jobs=list)["jobs"]
        names = [entry.get("folder") if isinstance(entry, dict) else None for entry in entries]
        jobs = [child(folder, name, listed) for name in names]
        has_finished = not overrides and all(_status(job) == "finished" for job in jobs)
    except Damaged:
        return ""  # resuming the sweep writes the file again
    except UserError as error:
        return str(error)
    return "finished" if has_finished else ""


def _status(folder: Path) -> str | None:
    return read_result(folder)["status"] if (folder / "result.json").is_file() else None


def _sweep_args(folder: Path, given: list[str]) -> list[str]:
    """Return a sweep's original overrides, including its sweeper and launcher, and the given ones for Hydra."""
    path = folder / "multirun.yaml"
    overrides = OmegaConf.select(read_yaml(path), "hydra.overrides")
    if not isinstance(overrides, DictConfig) or overrides.get("task") is None or overrides.get("hydra") is None:
        raise Damaged(path, "it has no hydra.overrides")
    trust = parse_overrides(given).get("trust", "").lower() == "true"
    replaced = {"hydra.mode", "hydra.sweep.dir", *parse_overrides(given)}
    kept = [arg for arg in overrides.hydra if not parse_overrides([arg]).keys() & replaced]
    reject_foreign_overrides([*overrides.task, *kept], folder, trust)
    task = [arg for arg in overrides.task if "trust" not in parse_overrides([arg])]  # never what the folder says
    return [*task, *kept, *given]
