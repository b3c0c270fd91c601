"""The folder of a sweep: its lock, its list of jobs and their states. Does not import torch."""

import logging
import re
import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import check_records, read_json, read_result
from kindling.cli.resolvers import folder_suffix
from kindling.files import LAST, child, display_path, has_config, is_untrained, write_json
from kindling.sweeps.compose import Job
from kindling.sweeps.orphans import wait_for_orphans
from kindling.training.lock import claim

log = logging.getLogger("kindling")

LOG = "workers.log"  # of the worker processes
NEW, FINISHED, RESUMABLE, RETRY = "new", "finished", "resumable", "retry"


class SweepFolder:
    """A sweep's folder, locked while a process uses it; `jobs.json` lists the jobs, their overrides and their groups.

    A job is recognized by its key, with which its folder's name ends. Nothing is overwritten: a failed job is tried
    again in a new folder.

    Attributes:
        states: job key -> NEW, FINISHED, RESUMABLE or RETRY; set by `place`.

    Raises:
        UserError: another process uses the folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self.states: dict[str, str] = {}
        self.claim = claim(path, new=False)
        wait_for_orphans(path / LOG)
        listed = path / "jobs.json"
        old: dict[str, Any] = {}
        if listed.exists():
            try:
                old = read_list(path)
            except Damaged as error:
                warn(f"{listed} ({error.why}) is written again, with the jobs of this command")
        self.groups: dict[str, list[str]] = old.get("groups", {})  # name -> keys of its members
        self.before: list[dict] = old.get("jobs", [])

    def place(self, jobs: list[Job]) -> None:
        """Assign a folder and a state to every job."""
        found: dict[str, list[Path]] = {}
        for folder in self.path.iterdir():
            match = re.fullmatch(r"[\w=.,+-]+_([0-9a-f]{12})(\.\d+)?", folder.name, re.ASCII)
            if match and folder.is_dir():
                found.setdefault(match[1], []).append(folder)
        names = _names(jobs)
        checkpoints = {path.stem for path in self.path.glob("groups/*.ckpt")}
        unfinished = {key for group, keys in self.groups.items() if group in checkpoints for key in keys}
        for job, name in zip(jobs, names, strict=True):
            attempts = sorted(found.get(job.key, []), key=lambda path: (len(path.name), path.name))
            if attempts and _has_only_started(attempts[-1]):
                shutil.rmtree(attempts.pop())
            state = _state(attempts[-1]) if attempts else NEW
            if state == RETRY and job.key in unfinished:
                state = FINISHED  # it has ended and left its group, whose other members are still training
            new = _next(attempts[-1].name) if attempts else name
            job.folder = self.path / new if state in (NEW, RETRY) else attempts[-1]
            self.states[job.key] = state
        self.save(jobs)

    def __enter__(self) -> "SweepFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.claim.close()

    @property
    def shown(self) -> Path:
        return display_path(self.path)

    def summary(self, number: int) -> str:
        """Describe the states of the jobs in a line; `number` of them were requested, duplicates included."""
        parts, states = [f"{number} job{'s' * (number != 1)}"], Counter(self.states.values())
        if same := number - len(self.states):
            parts.append(f"{same} of them duplicates that differ only in options without effect")
        labels = {FINISHED: "already finished", RESUMABLE: "to resume", RETRY: "to retry"}
        parts += [f"{states[state]} {label}" for state, label in labels.items() if states[state]]
        return f"{', '.join(parts)}  in {self.shown}"

    def overrides(self, job: Job) -> list[str]:
        """Return the overrides with which Hydra runs the job in its folder, or resumes it there."""
        place = [f"hydra.sweep.dir='{self.path}'", f"hydra.sweep.subdir='{job.name}'"]
        if self.states[job.key] == RESUMABLE:
            trust = ["trust=true"] * bool(job.resolved.get("trust"))
            return [f"resume='{job.folder}'", "hydra.output_subdir=null", *trust, *place]
        return [*job.overrides, *place]

    def save(self, jobs: list[Job]) -> None:
        """Write jobs.json: these jobs, and any other finished jobs that it listed before."""
        entries = [{"folder": job.name, "overrides": job.overrides, "key": job.key} for job in jobs]
        current = [sorted(job.overrides) for job in jobs]
        others = [entry for entry in self.before if sorted(entry["overrides"]) not in current]
        done = [entry for entry in others if result_of(self.path / entry["folder"]).get("status") == "finished"]
        write_json(self.path / "jobs.json", {"jobs": [*done, *entries], "groups": self.groups})


@cache
def warn(line: str) -> None:
    """Log a warning once."""
    log.warning(line)


def read_list(folder: Path) -> dict[str, Any]:
    """Return the content of a sweep's jobs.json.

    Raises:
        Damaged: it cannot be read.
        UserError: a job's folder is not the name of a folder in the sweep's.
    """
    path = folder / "jobs.json"
    content = read_json(path, jobs=list)
    for entry in content["jobs"]:
        kinds = {"folder": str, "overrides": list}
        if not isinstance(entry, dict) or any(not isinstance(entry.get(key), kind) for key, kind in kinds.items()):
            raise Damaged(path, "it has a job without folder or overrides")
        child(folder, entry["folder"], path)
    if not isinstance(content.get("groups", {}), dict):
        raise Damaged(path, "it has no valid groups")
    return content


def result_of(folder: Path) -> dict[str, Any]:
    """Return the content of a job's result.json, or an empty dictionary if it is missing or damaged."""
    try:
        return read_result(folder)
    except Damaged as error:
        if error.path.exists():
            warn(f"{error.path} ({error.why}) counts as missing, so that the job is trained again")
        return {}


def outcome_of(job: Job) -> str:
    """Describe in a line how the job ended."""
    result = result_of(job.folder)
    if result.get("status") != "finished":
        why = result.get("diverged") or result.get("error") or ""
        return f"{result.get('status', 'lost').upper()}  {job.name}: {why}"
    score = "no score" if result.get("score") is None else f"{result['monitor']} {result['score']:.4g}"
    return f"{job.name}  {score}  {result['seconds']:.1f} s"


def _state(folder: Path) -> str:
    status = result_of(folder).get("status")
    if status == "finished":
        return FINISHED
    if status not in (None, "interrupted", "killed") or not has_config(folder):
        return RETRY
    try:
        if (folder / LAST).exists():
            check_records(folder / LAST)
    except Damaged as error:
        warn(f"{error.path} ({error.why}): the job starts again in a new folder")
        return RETRY
    return RESUMABLE


def _has_only_started(folder: Path) -> bool:
    """Return whether a job was killed before its config was complete, so that its folder has nothing to keep."""
    return not (folder / "result.json").exists() and not has_config(folder) and is_untrained(folder)


def _next(name: str) -> str:
    """Return the folder name of the next attempt."""
    first, _, number = name.rpartition(".") if re.search(r"_[0-9a-f]{12}\.\d+$", name) else (name, "", "1")
    return f"{first}.{int(number) + 1}"


def _names(jobs: list[Job]) -> list[str]:
    """Return folder names made of the overrides that differ among the jobs, and the key."""
    pairs = [dict(override.lstrip("+~").split("=", 1) for override in job.overrides if "=" in override) for job in jobs]
    values: dict[str, set[str]] = {}
    for pair in pairs:
        for key, value in pair.items():
            values.setdefault(key, set()).add(value)
    missing = {key for key in values if any(key not in pair for pair in pairs)}
    varied = {key for key, known in values.items() if len(known) > 1} | missing
    differing = [[f"{key}={value}" for key, value in pair.items() if key in varied] for pair in pairs]
    return [f"{folder_suffix(own, '')[1:] or 'job'}_{job.key}" for own, job in zip(differing, jobs, strict=True)]
