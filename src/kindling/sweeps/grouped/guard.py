"""Whether a group trains as the program itself does, found out by doing both: what was edited need not be known.

Before something is trained in a group for the first time with the present code, one of its jobs goes through train.py
on its own for a few steps in float64, and the same job does in a group. Weights, metrics and outcome have to agree.
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
from kindling.sweeps.alone import Context, Order, run_alone
from kindling.sweeps.compose import Composer, Job, get, paths
from kindling.sweeps.grouped.grouping import Group, group_of
from kindling.sweeps.grouped.train import train
from kindling.sweeps.plan import code_of, effective
from kindling.training.tolerate import optional, reason

log = logging.getLogger("kindling")

MEMORY = PROJECT / "build" / "grouped.json"  # code version -> what has been compared
REMEMBERED = 50  # code versions
BATCHES, VALIDATED = 2.5, 200  # training batches of an epoch, the last one short, and validation samples
APART = ("seed", "path", "test_path", "folder", "dirpath")  # names of values that make no difference to the code
SHORT = ("epochs=2", "trainer.max_epochs=2", "trainer.precision=64-true", "test=false")
TOLERANCE = 1e-9


def why_different(group: Group, context: Context) -> str | None:
    """Return what comes out otherwise in the group than on its own, or None where they agree."""
    versions = sorted({code_of(effective(job.resolved)) for job in group.jobs})
    code = hashlib.sha256(" ".join(versions).encode()).hexdigest()
    memory = json.loads(MEMORY.read_text(encoding="utf-8")) if MEMORY.exists() else {}
    known = memory.setdefault(code, {"agree": [], "differ": {}})
    why = None
    for job in _to_try(group, set(known["agree"])):
        kind = " ".join(sorted(features(job)))
        if kind not in known["differ"]:
            log.info(f"once per change of the code: a few steps of {job.name}, alone and in a group")
            try:
                why = _compared(job, group, context)
            except Exception as error:  # what is wrong is said again, and recorded, where the job runs individually
                return f"a few steps of {job.name} cannot be compared with training together: {reason(error)}"
            if why is None:
                known["agree"] = sorted({*known["agree"], *features(job)})
            else:
                known["differ"][kind] = why
        if why := known["differ"].get(kind):
            break
    with optional("what was found of groups, for the next time"):
        MEMORY.parent.mkdir(exist_ok=True)
        write_json(MEMORY, dict(list(memory.items())[-REMEMBERED:]))
    return why and f"train.py gives other numbers than training together: {why}"


def features(job: Job) -> set[str]:
    """Return what the job is made of: of its config every value by its place, of numbers whether they are 0."""
    what = effective(job.resolved)
    return {f"{key}={_kind(get(what, key))}" for key in paths(what) if key.rpartition(".")[2] not in APART}


def _kind(value: object) -> object:
    if isinstance(value, list):
        return [_kind(item) for item in value][:1]
    return value if isinstance(value, bool | str) or not value else "some"


def _to_try(group: Group, seen: set[str]) -> Iterator[Job]:
    """Yield jobs until every feature of the group has been seen: the one that shows most, at the lowest learning rate.

    A job that diverges says little, as rounding errors grow with its weights.
    """
    left = {job.key: features(job) - seen for job in group.jobs}
    jobs = {job.key: job for job in group.jobs}
    while any(left.values()):
        key = max(left, key=lambda key: (len(left[key]), -jobs[key].resolved["model"]["optimizer"]["lr"]))
        shown = left[key]
        yield jobs[key]
        left = {key: rest - shown for key, rest in left.items()}


def _compared(job: Job, group: Group, context: Context) -> str | None:
    """Train a job alone, and together with another one of its group."""
    other = next(other for other in reversed(group.jobs) if other.key != job.key)
    words = [*SHORT, *(["pictures=none"] if "pictures" in job.raw else [])]
    words += ["trainer=cpu"] if torch.backends.mps.is_available() else []  # mps has no float64
    with tempfile.TemporaryDirectory() as name, _few_samples(), _quiet():
        alone, together = Path(name, "alone"), Path(name, "together")
        place = [f"hydra.sweep.dir='{name}'", "hydra.sweep.subdir=alone"]
        quiet = "+hydra.job_logging.handlers.console.level=ERROR"
        _, failure, _ = run_alone(context, Order(job.key, [*job.overrides, *words, *place, quiet], alone))
        if not (alone / "result.json").exists():
            return failure
        composer = Composer(context.hydra.config_loader, context.master)
        pair = [composer([*one.overrides, *words]) for one in (job, other)]
        for one, key in zip(pair, ("member", "other"), strict=True):
            one.key, one.folder = key, together / key
        train(group_of(pair), together)
        return difference(alone, together / "member")


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
    """Leave every data set that is loaded in the block a few of its samples, whoever loads it."""
    whole = Data.setup

    def setup(self: Data, stage: str | None = None) -> None:
        is_new = not self.samples
        whole(self, stage)
        if is_new:
            batch = 32 if self.batch_size == "full" else max(4, self.batch_size)
            most = {"train": int(BATCHES * batch), "val": VALIDATED, "test": VALIDATED}
            self.samples = {stage: (x[: most[stage]], y[: most[stage]]) for stage, (x, y) in self.samples.items()}

    Data.setup = setup
    try:
        yield
    finally:
        Data.setup = whole


def difference(alone: Path, member: Path) -> str | None:
    """Return the first value in two run folders that is not the same, or None."""
    results = [json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (alone, member)]
    tables = [_table(folder / "metrics.csv") for folder in (alone, member)]
    for key in sorted({**tables[0], **tables[1]}, key=lambda key: (key[1], key[0] != "lr")):  # lr explains others
        one, other = (table.get(key, "missing") for table in tables)
        if one != other and ("missing" in (one, other) or not _equal(float(one), float(other))):
            name, epoch = key
            return f"{name} of epoch {epoch} is {one:.9} alone and {other:.9} in a group"
    for key in ("status", "epochs", "best_epoch", "monitor", "mode"):
        if results[0].get(key) != results[1].get(key):
            return f"{key} is {results[0].get(key)} alone and {results[1].get(key)} in a group"
    for path in (BEST, LAST):
        if (alone / path).exists() != (member / path).exists():
            return f"{path.name} is written in one way only"
        if (alone / path).exists() and (name := _different_weight(alone / path, member / path)):
            return f"{name} of {path.name} has other values"
    return None


def _table(path: Path) -> dict[tuple[str, str], str]:
    """Return (column, epoch) -> value."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {(name, row["epoch"]): value for row in csv.DictReader(file) for name, value in row.items()}


def _different_weight(one: Path, other: Path) -> str | None:
    first, second = (torch.load(path, weights_only=True, map_location="cpu")["state_dict"] for path in (one, other))
    if list(first) != list(second):
        return ", ".join(sorted(first.keys() ^ second.keys())) or "the order"
    for name in first:
        one, other = first[name].double(), second[name].double()
        if not torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            return name
    return None


def _equal(one: float, other: float) -> bool:
    both_nan = math.isnan(one) and math.isnan(other)
    return both_nan or math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
