"""Write members' folders with the files of a single run, each under a temporary name that is then changed."""

import csv
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams, text

from kindling.cli.hyperparameters import hyperparameters
from kindling.cli.monitor import TRAIN_LOSS
from kindling.cli.overrides import command, parse_overrides
from kindling.data.base import Data
from kindling.data.split import split_table
from kindling.files import write_json
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.events import scalar_records, serialize
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.tracker import Tracker
from kindling.training.monitored import NEVER_DEFINED, best_scalars
from kindling.training.result import result, write_counts

BATCH = 100  # members whose events are computed together


class Records:
    """The recorded metrics of a group's members, arranged for writing.

    Attributes:
        columns: those of metrics.csv after epoch and step.
        table: (M, epochs, columns).
        epochs: number of epochs of each member.
        stage: "val", or "train" without validation samples.
    """

    def __init__(self, tracker: Tracker):
        self.tracker, self.columns = tracker, tracker.columns
        self.table = tracker.table[: len(tracker.steps)].permute(2, 0, 1).contiguous().numpy()
        self.epochs = [epoch or len(tracker.steps) for epoch in tracker.state["stopped"].tolist()]
        self.best_epochs = tracker.state["best_epoch"].tolist()
        self.stage = "val" if "val/loss" in self.columns else "train"

    def events(self, members: list[int]) -> list[list[np.ndarray]]:
        """Return for each of these members its scalar event records, one per epoch."""
        by_epoch = scalar_records(self.columns, self.table[members])
        return [[records[i] for records in by_epoch[: self.epochs[m]]] for i, m in enumerate(members)]


def write_members(jobs: list[Job], tracker: Tracker, stack: Stack, data: Data, seconds: float) -> None:
    """Write the missing folders of members that have ended."""
    records, scaling = Records(tracker), {type(data).__qualname__: data.state_dict()}
    active = set(tracker.active().tolist()) if tracker.leaving else set()
    split = split_table(data.indices, data.examples) if data.examples.columns else None
    missing = [m for m, job in enumerate(jobs) if m not in active and not job.folder.exists()]
    for start in range(0, len(missing), BATCH):
        members = missing[start : start + BATCH]
        configs = [_config(jobs[m]) for m in members]
        outcomes = [_outcome(m, jobs[m], records, stack=stack, seconds=seconds) for m in members]
        events = _events([jobs[m] for m in members], configs, outcomes, records.events(members))
        for m, config, outcome, lines in zip(members, configs, outcomes, events, strict=True):
            job, counts = jobs[m], tracker.kept["counts"]
            with _folder(job.folder) as folder:
                (folder / ".hydra" / "config.yaml").write_text(config, encoding="utf-8")
                (folder / ".hydra" / "overrides.yaml").write_text(_yaml(job.overrides), encoding="utf-8")
                _metrics(folder / "metrics.csv", m, records)
                if split:
                    (folder / "split.csv").write_text(split, encoding="utf-8")
                _checkpoints(folder / "checkpoints", m, records, stack=stack, scaling=scaling)
                if counts and outcome["best_epoch"] and job.resolved["callbacks"].get("confusion"):
                    names = stack.templates[0][1].hparams["class_names"]
                    write_counts(folder / f"confusion_matrix_{records.stage}.csv", counts[0][m].tolist(), names)
                if (job.resolved.get("logger") or {}).get("tensorboard"):
                    # Not .0 at the end, because torch's writer of pictures could use the same name in the same second.
                    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.member"
                    with (folder / name).open("wb") as file:
                        file.writelines(lines)
                write_json(folder / "result.json", outcome)


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    """Yield a temporary folder, which is moved to its place at the end of the block."""
    folder = place.parent / ".part" / place.name
    shutil.rmtree(folder, ignore_errors=True)  # left by an earlier attempt that was killed
    for inner in (".hydra", "checkpoints"):
        (folder / inner).mkdir(parents=True)
    (folder / ".claim").touch()
    yield folder
    os.rename(folder, place)


def _config(job: Job) -> str:
    nodes = {key: value for key, value in job.raw.items() if isinstance(value, dict)}
    top = "".join(_line(key, value) for key, value in job.raw.items() if key not in nodes)
    return top + _nodes(json.dumps(nodes))


def _outcome(m: int, job: Job, records: Records, stack: Stack, seconds: float) -> dict:
    tracker, epoch, best = records.tracker, records.best_epochs[m], {}
    monitor = tracker.monitor if tracker.monitor in records.columns else TRAIN_LOSS
    if epoch:
        row = dict(zip(records.columns, records.table[m, epoch - 1].tolist(), strict=True))
        best = {"epoch": epoch, "score": row[monitor], "metrics": row}
    diverged = tracker.diverged[m]
    status = "diverged" if diverged else "finished" if best else "failed"
    outcome = result(
        status, seconds, records.epochs[m], best=best,
        monitored=(monitor, tracker.mode), tested={}, params=sum(stack.sizes), command=command(job.overrides),
    )  # fmt: skip
    if diverged:
        return outcome | {"diverged": diverged}
    return outcome if best else outcome | {"error": f"UserError: monitor={monitor} {NEVER_DEFINED}"}


def _metrics(path: Path, m: int, records: Records) -> None:
    rows = records.table[m, : records.epochs[m]].tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", *records.columns])
        writer.writerows(
            [e, step, *row] for e, (step, row) in enumerate(zip(records.tracker.steps, rows, strict=False), 1)
        )


def _checkpoints(folder: Path, m: int, records: Records, stack: Stack, scaling: dict) -> None:
    template = next(t for part, t in stack.templates if part.start <= m < part.stop)
    common = {
        "pytorch-lightning_version": pl.__version__,
        "hparams_name": "kwargs",
        "hyper_parameters": dict(template.hparams),
        **scaling,
    }
    for name, epoch in (("best", records.best_epochs[m]), ("last", records.epochs[m])):
        if epoch:
            weights, *buffers = (tensor[m].cpu() for tensor in records.tracker.kept[name])
            counted = {"epoch": epoch - (name == "best"), "global_step": records.tracker.steps[epoch - 1]}
            state = {"state_dict": stack.state_dict_of(weights, buffers)}
            torch.save({**counted, **common, **state}, folder / f"{name}.ckpt")


def _events(jobs: list[Job], configs: list[str], outcomes: list[dict], scalars: list[list]) -> Iterator[list[bytes]]:
    """Yield each member's event file as records, equal to those that a single run writes."""
    events: list[Event] = []
    ends: list[int] = []
    now = time.time()
    for job, config, outcome in zip(jobs, configs, outcomes, strict=True):
        options = {
            k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in hyperparameters_of(job).items()
        }
        _, hparams_start, hparams_end = hparams(options, {})
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in best_scalars(outcome["metrics"]).items()]
        best = [Event(wall_time=now, step=outcome["best_epoch"], summary=Summary(value=values))] * bool(values)
        events += [
            Event(wall_time=now, file_version="brain.Event:2"),
            Event(wall_time=now, summary=hparams_start),
            Event(wall_time=now, summary=text("config", f"```yaml\n{config}\n```")),
            *best,
            Event(wall_time=now, summary=hparams_end),
        ]
        ends.append(len(events))
    records = serialize(events)
    for start, end, inner in zip([0, *ends], ends, scalars, strict=False):
        yield [*records[start : start + 3], *inner, *records[start + 3 : end]]


def hyperparameters_of(job: Job) -> dict:
    """Return what kindling.cli.overrides.hyperparameters_of returns for a single run."""
    return hyperparameters(job.raw, job.resolved, job.choices, given=set(parse_overrides(job.overrides)))


@lru_cache(maxsize=64)
def _nodes(nodes: str) -> str:
    """Return the mappings of a config as YAML, which takes long and is mostly the same for all members."""
    return _yaml(json.loads(nodes))


def _line(key: str, value: object) -> str:
    """Return one value as YAML; cached, because most values are shared by all members."""
    return _one(key, json.dumps(value))


@lru_cache(maxsize=10_000)
def _one(key: str, value: str) -> str:
    return _yaml({key: json.loads(value)})


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)
