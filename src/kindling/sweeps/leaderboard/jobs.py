"""Reads what the jobs of a sweep have left: a thousand of them in a quarter of a second."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kindling import UserError
from kindling.cli.overrides import parse_overrides
from kindling.files import BEST

# Words that say how the sweep is run, not what is trained.
NOT_OPTIONS = ("test", "folder", "resume", "verbose", "sweep.name", "on_error", "repeat", "folds")
FOLDED = ("seed", "data.fold", "data.split_seed")  # repetitions of one variant


@dataclass(eq=False)  # a job is itself alone
class Job:
    """One training of the sweep: its typed knobs, how it ended, and why if it did not finish."""

    folder: Path
    options: dict[str, str]
    status: str
    reason: str = ""
    result: dict = field(default_factory=dict)
    wants_test: bool = False  # test=true was typed

    @property
    def metrics(self) -> dict[str, float | None]:
        return self.result.get("metrics", {})

    @property
    def checkpoint(self) -> Path:
        return self.folder / BEST


def read_jobs(folder: Path) -> list[Job]:
    """The jobs that jobs.json lists, or without one those whose folders are there.

    Raises:
        UserError: there are none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give that of a sweep, e.g. runs/sweeps/<name>.")
    listed = folder / "jobs.json"
    if listed.exists():
        entries = json.loads(listed.read_text(encoding="utf-8"))["jobs"]
        jobs = [_job(folder / entry["folder"], entry["overrides"]) for entry in entries]
    else:
        files = sorted(folder.glob("*/.hydra/overrides.yaml"), key=lambda path: _in_order(path.parts[-3]))
        jobs = [_job(file.parents[1], _strings(file)) for file in files]
    if not jobs:
        raise UserError(f"{folder} has no jobs (folders with .hydra/overrides.yaml): give the folder of a sweep.")
    return jobs


def swept(jobs: list[Job]) -> list[str]:
    """The knobs whose value differs among the jobs; where one is not typed counts as a value."""
    keys = dict.fromkeys(key for job in jobs for key in job.options)
    return [key for key in keys if len({job.options.get(key) for job in jobs}) > 1]


def _job(folder: Path, overrides: list[str]) -> Job:
    words = parse_overrides(overrides)
    options = {k: v for k, v in words.items() if k not in NOT_OPTIONS and not k.startswith("hydra")}
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Job(folder, options, "unfinished", reason="it has no result.json")
    except ValueError as error:
        return Job(folder, options, "unfinished", reason=f"its result.json cannot be read: {error}")
    reason = result.get("diverged") or result.get("error") or ""
    return Job(
        folder,
        options,
        result.get("status", "unfinished"),
        reason=" ".join(str(reason).split()),
        result=result,
        wants_test=_is_true(words.get("test")),
    )


def _is_true(word: str | None) -> bool:
    return str(word).lower() == "true"


def _strings(file: Path) -> list[str]:
    return [str(word) for word in yaml.load(file.read_text(encoding="utf-8"), yaml.SafeLoader) or []]


def _in_order(name: str) -> list:
    """So that 10_... comes after 9_..."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
