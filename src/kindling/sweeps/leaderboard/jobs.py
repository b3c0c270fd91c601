"""Read the results of a sweep's jobs; a thousand take a quarter of a second."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import read_overrides, read_result
from kindling.cli.overrides import parse_overrides
from kindling.files import BEST, reject_links
from kindling.sweeps.folder import read_list

# Options that control how the sweep is run, not what is trained.
NOT_OPTIONS = ("test", "folder", "resume", "verbose", "sweep.name", "sweep.baselines", "on_error", "repeat", "folds")
FOLDED = ("seed", "data.fold", "data.split_seed")  # jobs that differ only in these repeat one variant


@dataclass(eq=False)  # compared by identity
class Job:
    """A job of the sweep and its result."""

    folder: Path
    options: dict[str, str]  # from the job's overrides
    status: str
    reason: str = ""  # why it did not finish
    result: dict[str, Any] = field(default_factory=dict)  # the content of result.json
    wants_test: bool = False  # test=true was given

    @property
    def metrics(self) -> dict[str, float | None]:
        return self.result.get("metrics", {})

    @property
    def checkpoint(self) -> Path:
        return self.folder / BEST


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs listed in jobs.json or, if there is no such file, those found in the folder.

    Raises:
        UserError: there are no jobs.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder of a sweep, e.g. runs/sweeps/<name>.")
    reject_links(folder)  # what is read here is written to
    listed = folder / "jobs.json"
    if listed.exists():
        jobs = [_job(folder / entry["folder"], entry["overrides"]) for entry in read_list(folder)["jobs"]]
    else:
        files = sorted(folder.glob("*/.hydra/overrides.yaml"), key=lambda path: _natural_order(path.parts[-3]))
        jobs = [_job(file.parents[1], read_overrides(file.parents[1])) for file in files]
    if not jobs:
        raise UserError(f"{folder} contains no jobs (folders with .hydra/overrides.yaml): give the folder of a sweep.")
    return jobs


def swept(jobs: list[Job]) -> list[str]:
    """Return the options whose values differ among the jobs; not being given counts as a value."""
    keys = dict.fromkeys(key for job in jobs for key in job.options)
    return [key for key in keys if len({job.options.get(key) for job in jobs}) > 1]


def _job(folder: Path, overrides: list[str]) -> Job:
    words = parse_overrides(overrides)
    options = {k: v for k, v in words.items() if k not in NOT_OPTIONS and not k.startswith("hydra")}
    if not (folder / "result.json").exists():
        return Job(folder, options, "unfinished", reason="there is no result.json")
    try:
        result = read_result(folder)
    except Damaged as error:
        return Job(folder, options, "unfinished", reason=f"its result.json cannot be read: {error.why}")
    reason = result.get("diverged") or result.get("error") or ""
    return Job(
        folder,
        options,
        result.get("status", "unfinished"),
        reason=" ".join(str(reason).split()),
        result=result,
        wants_test=_is_true(words.get("test")),
    )


def _is_true(value: str | None) -> bool:
    return str(value).lower() == "true"


def _natural_order(name: str) -> list[int | str]:
    """Return a sort key with which 10_... comes after 9_..."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
