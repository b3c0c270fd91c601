"""Check that training in a group gives the same results as train.py, even after edits of the code.

Before the current code trains a kind of job in a group for the first time, such a job is trained for a few steps in
float64 by train.py and in a group. Weights, metrics and outcome have to agree.
"""

import contextlib
import csv
import hashlib
import io
import json
import logging
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from kindling.data.base import Data
from kindling.files import BEST, LAST, PROJECT, write_json
from kindling.sweeps.compose import Composer, Job, leaves
from kindling.sweeps.grouped.grouping import Group, group_of
from kindling.sweeps.grouped.train import train
from kindling.sweeps.plan import code_of, effective
from kindling.sweeps.run_job import Context, JobRequest, run_single
from kindling.training.checkpoint_files import load
from kindling.training.tolerate import optional, reason

log = logging.getLogger("kindling")

CACHE = PROJECT / "build" / "grouped.json"  # code version -> results of comparisons
MAX_VERSIONS = 50  # code versions in the cache
BATCHES, VALIDATED = 2.5, 200  # training batches of an epoch, the last one short, and validation samples
IGNORED = ("seed", "path", "test_path", "folder", "dirpath")  # options that do not select different code
SHORT = ("epochs=2", "trainer.max_epochs=2", "trainer.precision=64-true", "test=false")
TOLERANCE = 1e-9


def why_different(group: Group, context: Context) -> str | None:
    """Return how the results of the group differ from those of single runs, or None if they agree."""
    versions = sorted({code_of(effective(job.resolved)) for job in group.jobs})
    code = hashlib.sha256(" ".join(versions).encode()).hexdigest()
    cache = json.loads(CACHE.read_text(encoding="utf-8")) if CACHE.exists() else {}
    known = cache.setdefault(code, {"agree": [], "differ": {}})
    why = None
    for job in _jobs_to_compare(group, set(known["agree"])):
        kind = " ".join(sorted(features(job)))
        if kind not in known["differ"]:
            log.info(
                "checking that a group gives the same results as single runs (once per version of the code): a few "
                f"steps of {job.name}"
            )
            try:
                why = _compare(job, group, context)
            except Exception as error:  # raised again, and recorded, when the job is run individually
                return f"a few steps of {job.name} cannot be compared with group training: {reason(error)}"
            if why is None:
                known["agree"] = sorted({*known["agree"], *features(job)})
            else:
                known["differ"][kind] = why
        if why := known["differ"].get(kind):
            break
    with optional("cache of group comparisons"):
        CACHE.parent.mkdir(exist_ok=True)
        write_json(CACHE, dict(list(cache.items())[-MAX_VERSIONS:]))
    return why and f"train.py and group training give different results: {why}"


def features(job: Job) -> set[str]:
    """Return the config's values with their paths; numbers are reduced to zero or nonzero."""
    what = effective(job.resolved)
    return {f"{key}={_kind(value)}" for key, value in leaves(what) if key.rpartition(".")[2] not in IGNORED}


def _kind(value: object) -> object:
    if isinstance(value, list):
        return [*map(_kind, value[:1]), *(["more"] if len(value) > 1 else [])]
    return value if isinstance(value, bool | str) or not value else "some"


def _jobs_to_compare(group: Group, seen: set[str]) -> Iterator[Job]:
    """Yield jobs until they cover all features of the group: next the one with most new features and the lowest lr.

    A job that diverges is a poor test, because rounding errors grow with its weights.
    """
    left = {job.key: features(job) - seen for job in group.jobs}
    jobs = {job.key: job for job in group.jobs}
    while any(left.values()):
        key = max(left, key=lambda key: (len(left[key]), -jobs[key].resolved["model"]["optimizer"]["lr"]))
        covered = left[key]
        yield jobs[key]
        left = {key: rest - covered for key, rest in left.items()}


def _compare(job: Job, group: Group, context: Context) -> str | None:
    """Train a job as a single run and together with another job of its group, and return the first difference."""
    other = next(other for other in reversed(group.jobs) if other.key != job.key)
    short = [*SHORT, *(["pictures=none"] if "pictures" in job.raw else [])]
    short += ["trainer=cpu"] if torch.backends.mps.is_available() else []  # mps has no float64
    with tempfile.TemporaryDirectory() as name, _few_samples(), _quiet():
        single, together = Path(name, "single"), Path(name, "together")
        place = [f"hydra.sweep.dir='{name}'", "hydra.sweep.subdir=single"]
        quiet = "+hydra.job_logging.handlers.console.level=ERROR"
        _, failure, _ = run_single(context, JobRequest(job.key, [*job.overrides, *short, *place, quiet], single))
        if not (single / "result.json").exists():
            return failure
        composer = Composer(context.hydra.config_loader, context.master)
        pair = [composer([*one.overrides, *short]) for one in (job, other)]
        for one, key in zip(pair, ("member", "other"), strict=True):
            one.key, one.folder = key, together / key
        train(group_of(pair), together)
        return difference(single, together / "member")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _few_samples() -> Iterator[None]:
    """Reduce every data set that is set up in the block to a few samples."""
    original = Data.setup

    def setup(self: Data, stage: str | None = None) -> None:
        is_new = not self.samples
        original(self, stage)
        if is_new:
            batch = max(4, self.batch_size) if isinstance(self.batch_size, int) else 32
            most = {"train": int(BATCHES * batch), "val": VALIDATED, "test": VALIDATED}
            self.samples = {stage: (x[: most[stage]], y[: most[stage]]) for stage, (x, y) in self.samples.items()}
            self.weights = {stage: weights[: most[stage]] for stage, weights in self.weights.items()}

    Data.setup = setup  # type: ignore[method-assign]  # applies wherever the data set is created
    try:
        yield
    finally:
        Data.setup = original  # type: ignore[method-assign]  # restored


def difference(single: Path, member: Path) -> str | None:
    """Return the first difference between two run folders, or None."""
    results = [json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (single, member)]
    tables = [_table(folder / "metrics.csv") for folder in (single, member)]
    # lr first, because a different one explains other differences
    for column, epoch in sorted({**tables[0], **tables[1]}, key=lambda key: (key[1], key[0] != "lr")):
        one, other = (table.get((column, epoch), "missing") for table in tables)
        if one != other and ("missing" in (one, other) or not _equal(float(one), float(other))):
            return f"{column} of epoch {epoch} is {one:.9} in a single run and {other:.9} in a group"
    for name in ("status", "epochs", "best_epoch", "monitor", "mode"):
        if results[0].get(name) != results[1].get(name):
            return f"{name} is {results[0].get(name)} in a single run and {results[1].get(name)} in a group"
    for path in (BEST, LAST):
        if (single / path).exists() != (member / path).exists():
            return f"{path.name} is missing from one of the folders"
        if (single / path).exists() and (weight := _different_weight(single / path, member / path)):
            return f"{weight} of {path.name} has different values"
    return None


def _table(path: Path) -> dict[tuple[str, str], str]:
    """Return (column, epoch) -> value of a metrics.csv."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {(name, row["epoch"]): value for row in csv.DictReader(file) for name, value in row.items()}


def _different_weight(one: Path, other: Path) -> str | None:
    first, second = (load(path)["state_dict"] for path in (one, other))
    if list(first) != list(second):
        return ", ".join(sorted(first.keys() ^ second.keys())) or "the order"
    for name in first:
        if not torch.allclose(
            first[name].double(), second[name].double(), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        ):
            return name
    return None


def _equal(one: float, other: float) -> bool:
    both_nan = math.isnan(one) and math.isnan(other)
    return both_nan or math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
