"""Compose, check and identify the jobs of a sweep. Does not import torch."""

import hashlib
import json
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import validation
from kindling.cli.build import reject_missing_packages
from kindling.cli.conf import SWEEP_OPTIONS
from kindling.files import PACKAGE, PROJECT
from kindling.sweeps.code_version import code_version
from kindling.sweeps.compose import Composer, Job, leaves

NOT_JOB_OPTIONS = (*SWEEP_OPTIONS, "resume", "test")  # describe the sweep, not a job
NOT_TRAINED = ("logger", "sweep", "hydra")  # parts of the config without influence on the weights or their score


def plan(loader: ConfigLoader, master: DictConfig, batch: Iterable[list[str]]) -> list[Job]:
    """Compose and check all jobs, and set their keys.

    Raises:
        UserError: a job's values are invalid; no job has been started.
    """
    composer = Composer(loader, master)
    files: dict[str, str | None] = {}
    jobs = [composer([o for o in overrides if not is_sweep_option(o)]) for overrides in batch]
    for job in jobs:
        check(job)
        what = effective(job.resolved)
        content = {"what": what, "code": code_of(what), "data": _data_version(job.resolved, files)}
        job.key = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return jobs


def is_sweep_option(override: str) -> bool:
    key = override.lstrip("+~").split("=")[0]
    return key in NOT_JOB_OPTIONS and override.lower() != "test=true"  # Hydra writes True


def check(job: Job) -> None:
    """Reject a job with missing or invalid values, missing files or missing packages."""
    missing = [key for key, value in leaves(job.resolved) if value == "???"]
    if missing:
        raise UserError(f"{', '.join(sorted(missing))} must be given, e.g. {min(missing)}=...")
    validation.check({key: value for key, value in job.resolved.items() if not isinstance(value, dict)})
    validation.check_files(job.resolved)
    reject_missing_packages(job.resolved)


def effective(resolved: dict) -> dict:
    """Return the part of a config that determines the weights: its calls and the seed, without unused options."""
    nodes = {key: value for key, value in resolved.items() if isinstance(value, dict) and key not in NOT_TRAINED}
    model = dict(nodes.get("model", {}))
    if model.get("hidden_sizes") is not None:
        model |= {"depth": None, "width": None}  # not used then
    callbacks = dict(nodes.get("callbacks") or {})
    if callbacks.get("checkpoints"):
        callbacks["checkpoints"] = {k: v for k, v in callbacks["checkpoints"].items() if k != "trust"}
    data = dict(nodes.get("data", {}))
    if data.get("features", "polynomial") != "polynomial":
        data["degree"] = None
    return {**nodes, "model": model, "data": data, "callbacks": callbacks, "seed": resolved.get("seed")}


def code_of(what: dict) -> str:
    """Return the version of the code that an effective config calls."""
    return code_version(tuple(sorted({value for key, value in leaves(what) if key.endswith("_target_")})))


def _data_version(resolved: dict, known: dict[str, str | None]) -> list[str]:
    """Return the hashes of all files that the config names, and of the modules outside the package that it calls.

    Args:
        known: value in a config -> hash or None; filled by this function.
    """
    versions = []
    for key, value in leaves(resolved):
        if not isinstance(value, str) or not value or key == "folder":
            continue
        if value not in known:
            known[value] = _hash(value, key.endswith("_target_"))
        if version := known[value]:
            versions.append(version)
    return versions


def _hash(value: str, is_target: bool) -> str | None:
    """Return the hashes of the file that `value` names, or of the user's package that it calls; None without any.

    Data sets that read folders have their own checksums.
    """
    if is_target:
        found = _own_files(value.partition(".")[0])
    else:
        found = [path for path in (Path(value), PROJECT / value) if len(value) < 500 and path.is_file()][:1]
    digests = []
    for path in found:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return " ".join(digests) or None


def _own_files(module: str) -> list[Path]:
    """Return the Python files of a module or package outside of this one, unless it is installed."""
    spec = None if module in (PACKAGE.name, "torch", "pytorch_lightning", "lightning") else find_spec(module)
    if spec is None:
        return []
    if folders := spec.submodule_search_locations:  # more than one, or none with an __init__.py, in a namespace package
        own = [Path(folder) for folder in folders if not _is_installed(Path(folder))]
        return sorted(file for folder in own for file in folder.rglob("*.py") if file.is_file())
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return [file] if file and not _is_installed(file) else []


def _is_installed(path: Path) -> bool:
    """Return whether a path belongs to Python or to an installed package."""
    places = (sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return "dist-packages" in path.parts or any(path.is_relative_to(place) for place in places)
