"""The jobs of a sweep: composed, checked, and told apart by what they really do. Does not import torch."""

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from kindling import UserError
from kindling.cli import validation
from kindling.cli.build import refuse_missing_packages
from kindling.cli.conf import SWEEP_OPTIONS
from kindling.files import PACKAGE, PROJECT
from kindling.sweeps.code_version import code_version
from kindling.sweeps.compose import Composer, Job, get, paths

# Words about the sweep, not about a job.
OF_THE_SWEEP = (*SWEEP_OPTIONS, "resume", "test")
# Parts of the config without influence on the weights or their score.
APART = ("logger", "sweep", "hydra")


def plan(loader: ConfigLoader, master: DictConfig, batch: Iterable[list[str]]) -> list[Job]:
    """All jobs, checked, with their keys.

    Raises:
        UserError: a job's values cannot work; no job has been started then.
    """
    composer, files = Composer(loader, master), {}
    jobs = [composer([word for word in words if not is_of_the_sweep(word)]) for words in batch]
    for job in jobs:
        check(job)
        what = effective(job.resolved)
        content = {"what": what, "code": code_of(what), "data": _data_version(job.resolved, files)}
        job.key = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return jobs


def is_of_the_sweep(word: str) -> bool:
    key = word.lstrip("+~").split("=")[0]
    return key in OF_THE_SWEEP and word.lower() != "test=true"  # Hydra writes True


def check(job: Job) -> None:
    """Refuse a job that cannot be meant."""
    missing = [key for key in paths(job.resolved) if get(job.resolved, key) == "???"]
    if missing:
        raise UserError(f"{', '.join(sorted(missing))} must be given, e.g. {min(missing)}=...")
    validation.check({key: value for key, value in job.resolved.items() if not isinstance(value, dict)})
    validation.check_files(job.resolved)
    refuse_missing_packages(job.resolved)


def effective(resolved: dict) -> dict:
    """What decides about the weights: the calls of the config and the seed, without knobs that nothing reads."""
    nodes = {key: value for key, value in resolved.items() if isinstance(value, dict) and key not in APART}
    model = dict(nodes.get("model", {}))
    if model.get("hidden_sizes") is not None:
        model |= {"depth": None, "width": None}  # are not read then
    callbacks = dict(nodes.get("callbacks") or {})
    if callbacks.get("checkpoints"):
        callbacks["checkpoints"] = {k: v for k, v in callbacks["checkpoints"].items() if k != "trust"}
    data = dict(nodes.get("data", {}))
    if data.get("features", "polynomial") != "polynomial":
        data["degree"] = None
    return {**nodes, "model": model, "data": data, "callbacks": callbacks, "seed": resolved.get("seed")}


def code_of(what: dict) -> str:
    """Return the version of the code that the calls of an effective config lead to."""
    return code_version(tuple(sorted({get(what, key) for key in paths(what) if key.endswith("_target_")})))


def _data_version(resolved: dict, known: dict) -> list[str]:
    """Of every file that the config names, and of the modules that it calls from outside the package."""
    versions = []
    for key in paths(resolved):
        value = get(resolved, key)
        if not isinstance(value, str) or not value or key == "folder":
            continue
        if value not in known:
            known[value] = _content(value, key.endswith("_target_"))
        if known[value]:
            versions.append(known[value])
    return versions


def _content(value: str, is_target: bool) -> str | None:
    """Of the file that `value` names, if it is one; a data set that reads a folder knows its checksums."""
    if is_target:
        module = value.partition(".")[0]
        if module in (PACKAGE.name, "torch", "pytorch_lightning", "lightning"):
            return None
        spec = importlib.util.find_spec(module)
        found = [Path(spec.origin)] if spec and spec.origin and "site-packages" not in spec.origin else []
    else:
        found = [path for path in (Path(value), PROJECT / value) if len(value) < 500 and path.is_file()]
    if not found:
        return None
    with found[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
