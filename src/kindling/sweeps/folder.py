"""The folder of a sweep: whose it is, where each job is, and how far it came. Does not import torch."""

import json
import re
from collections import Counter
from pathlib import Path

from kindling.cli.overrides import folder_suffix
from kindling.files import LAST, display_path, write_json
from kindling.sweeps.compose import Job
from kindling.training.lock import claim

NEW, FINISHED, GOING, AGAIN = "new", "finished", "going", "again"


class SweepFolder:
    """Locked while a process works in it; `jobs.json` lists the jobs, what is typed for them, and their groups.

    A job is found again by its key, the end of its folder's name. Nothing is overwritten: what failed is tried again
    in a folder of its own.

    Raises:
        UserError: another process works in it.
    """

    def __init__(self, path: Path):
        self.path, self.states = path, {}
        self.claim = claim(path, new=False)
        listed = path / "jobs.json"
        old = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else {}
        self.groups: dict[str, list[str]] = old.get("groups", {})  # name -> keys of its members
        self.before: list[dict] = old.get("jobs", [])

    def place(self, jobs: list[Job]) -> None:
        """Give every job its folder, and say in `states` what there is to do."""
        found: dict[str, list[Path]] = {}
        for folder in self.path.iterdir():
            match = re.fullmatch(r".*_([0-9a-f]{12})(\.\d+)?", folder.name)
            if match and folder.is_dir():
                found.setdefault(match[1], []).append(folder)
        names = _names(jobs)
        checkpoints = {path.stem for path in self.path.glob("groups/*.ckpt")}
        going_on = {key for group, keys in self.groups.items() if group in checkpoints for key in keys}
        for job, name in zip(jobs, names, strict=True):
            attempts = sorted(found.get(job.key, []), key=lambda path: (len(path.name), path.name))
            state = _state(attempts[-1]) if attempts else NEW
            if state == AGAIN and job.key in going_on:
                state = FINISHED  # it has ended, and left its group, which goes on
            again = _next(attempts[-1].name) if attempts else name
            job.folder = self.path / again if state in (NEW, AGAIN) else attempts[-1]
            self.states[job.key] = state
        self.save(jobs)

    def __enter__(self) -> "SweepFolder":
        return self

    def __exit__(self, *_) -> None:
        self.claim.close()

    @property
    def shown(self) -> Path:
        return display_path(self.path)

    def summary(self, number: int) -> str:
        """What there is to do of `number` jobs asked for."""
        parts, states = [f"{number} job{'s' * (number != 1)}"], Counter(self.states.values())
        if same := number - len(self.states):
            parts.append(f"{same} of them the same as others but for knobs that nothing reads")
        words = {FINISHED: "finished before", GOING: "to go on", AGAIN: "to try again"}
        parts += [f"{states[state]} {word}" for state, word in words.items() if states[state]]
        return f"{', '.join(parts)}  in {self.shown}"

    def words(self, job: Job) -> list[str]:
        """What to type for Hydra to run the job in its folder, or to go on with it."""
        place = [f"hydra.sweep.dir='{self.path}'", f"hydra.sweep.subdir='{job.name}'"]
        if self.states[job.key] == GOING:
            return [f"resume='{job.folder}'", "hydra.output_subdir=null", *place]
        return [*job.overrides, *place]

    def save(self, jobs: list[Job]) -> None:
        """Write the list: these jobs, and of earlier calls for the same folder what is finished and not among them."""
        entries = [{"folder": job.name, "overrides": job.overrides, "key": job.key} for job in jobs]
        typed = [sorted(job.overrides) for job in jobs]
        others = [entry for entry in self.before if sorted(entry["overrides"]) not in typed]
        done = [entry for entry in others if result_of(self.path / entry["folder"]).get("status") == "finished"]
        write_json(self.path / "jobs.json", {"jobs": [*done, *entries], "groups": self.groups})


def result_of(folder: Path) -> dict:
    """Of a job; empty if it has none."""
    path = folder / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def outcome_of(job: Job) -> str:
    """Return a line on how the job ended."""
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
    can_go_on = status not in ("failed", "diverged") and (folder / LAST).exists()
    return GOING if can_go_on else AGAIN


def _next(name: str) -> str:
    """Return the name of the folder of the attempt after this one."""
    first, _, number = name.rpartition(".") if re.search(r"_[0-9a-f]{12}\.\d+$", name) else (name, "", "1")
    return f"{first}.{int(number) + 1}"


def _names(jobs: list[Job]) -> list[str]:
    """Folders' names: what differs between the jobs, and the key."""
    pairs = [dict(word.lstrip("+~").split("=", 1) for word in job.overrides if "=" in word) for job in jobs]
    values: dict[str, set] = {}
    for pair in pairs:
        for key, value in pair.items():
            values.setdefault(key, set()).add(value)
    missing = {key for key in values if any(key not in pair for pair in pairs)}
    varied = {key for key, known in values.items() if len(known) > 1} | missing
    words = [[f"{key}={value}" for key, value in pair.items() if key in varied] for pair in pairs]
    return [f"{folder_suffix(own, '')[1:] or 'job'}_{job.key}" for own, job in zip(words, jobs, strict=True)]
