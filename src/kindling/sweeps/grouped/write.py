"""A member's folder, with what a single run leaves: made beside its name and renamed, so there is none half written."""

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
from kindling.files import write_json
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.events import scalar_records, written
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.tracker import Watch
from kindling.training.result import result, write_counts
from kindling.training.scores import NEVER_DEFINED, best_scalars

AT_ONCE = 100  # members, whose events are computed side by side


class Records:
    """What the members of a group have recorded, in the form in which it is written.

    `columns` are those of metrics.csv behind epoch and step; `table` is (M, epochs, columns).
    """

    def __init__(self, watch: Watch):
        self.watch, self.columns = watch, watch.columns
        self.table = watch.table[: len(watch.steps)].permute(2, 0, 1).contiguous().numpy()
        self.epochs = [epoch or len(watch.steps) for epoch in watch.state["stopped"].tolist()]
        self.best_epochs = watch.state["best_epoch"].tolist()
        self.stage = "val" if "val/loss" in self.columns else "train"

    def events(self, members: list[int]) -> list[list[np.ndarray]]:
        """Return of each of these members its records in an event file, an epoch each."""
        by_epoch = scalar_records(self.columns, self.table[members])
        return [[records[i] for records in by_epoch[: self.epochs[m]]] for i, m in enumerate(members)]


def write_members(jobs: list[Job], watch: Watch, stack: Stack, data: Data, seconds: float) -> None:
    """Write the folders of those members that have ended and have none."""
    records, scaling = Records(watch), {type(data).__qualname__: data.state_dict()}
    going = set(watch.going().tolist()) if watch.leaving else set()
    missing = [m for m, job in enumerate(jobs) if m not in going and not job.folder.exists()]
    for start in range(0, len(missing), AT_ONCE):
        members = missing[start : start + AT_ONCE]
        configs = [_config(jobs[m]) for m in members]
        outcomes = [_outcome(m, jobs[m], records, stack=stack, seconds=seconds) for m in members]
        events = _events([jobs[m] for m in members], configs, outcomes, records.events(members))
        for m, config, outcome, lines in zip(members, configs, outcomes, events, strict=True):
            job, counts = jobs[m], watch.state["counts"]
            with _folder(job.folder) as folder:
                (folder / ".hydra" / "config.yaml").write_text(config, encoding="utf-8")
                (folder / ".hydra" / "overrides.yaml").write_text(_yaml(job.overrides), encoding="utf-8")
                _metrics(folder / "metrics.csv", m, records)
                _checkpoints(folder / "checkpoints", m, records, stack=stack, scaling=scaling)
                if counts and outcome["best_epoch"] and job.resolved["callbacks"].get("confusion"):
                    names = stack.templates[0][1].hparams["class_names"]
                    write_counts(folder / f"confusion_matrix_{records.stage}.csv", counts[0][m].tolist(), names)
                if (job.resolved.get("logger") or {}).get("tensorboard"):
                    # Not .0 at the end: torch's writer of pictures would take the same name within the second.
                    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.member"
                    with (folder / name).open("wb") as file:
                        file.writelines(lines)
                write_json(folder / "result.json", outcome)


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    """Yield a folder beside its place, which is moved there at the end of the block."""
    folder = place.parent / ".part" / place.name
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier, killed attempt
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
    watch, epoch, best = records.watch, records.best_epochs[m], {}
    monitor = watch.monitor if watch.monitor in records.columns else TRAIN_LOSS
    if epoch:
        row = dict(zip(records.columns, records.table[m, epoch - 1].tolist(), strict=True))
        best = {"epoch": epoch, "score": row[monitor], "metrics": row}
    diverged = watch.state["diverged"][m]
    status = "diverged" if diverged else "finished" if best else "failed"
    outcome = result(
        status, seconds, records.epochs[m], best=best,
        monitored=(monitor, watch.mode), tested={}, params=sum(stack.sizes), command=command(job.overrides),
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
            [e, step, *row] for e, (step, row) in enumerate(zip(records.watch.steps, rows, strict=False), 1)
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
            weights, *buffers = (tensor[m].cpu() for tensor in records.watch.state[name])
            counted = {"epoch": epoch - (name == "best"), "global_step": records.watch.steps[epoch - 1]}
            state = {"state_dict": stack.state_dict_of(weights, buffers)}
            torch.save({**counted, **common, **state}, folder / f"{name}.ckpt")


def _events(jobs: list[Job], configs: list[str], outcomes: list[dict], scalars: list[list]) -> Iterator[list[bytes]]:
    """Yield of each member its event file: as kindling.training.loggers.TensorBoard and a run's end write it."""
    events, ends, now = [], [], time.time()
    for job, config, outcome in zip(jobs, configs, outcomes, strict=True):
        options = {
            k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in hyperparameters_of(job).items()
        }
        _, start, end = hparams(options, {})
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in best_scalars(outcome["metrics"]).items()]
        best = [Event(wall_time=now, step=outcome["best_epoch"], summary=Summary(value=values))] * bool(values)
        events += [
            Event(wall_time=now, file_version="brain.Event:2"),
            Event(wall_time=now, summary=start),
            Event(wall_time=now, summary=text("config", f"```yaml\n{config}\n```")),
            *best,
            Event(wall_time=now, summary=end),
        ]
        ends.append(len(events))
    lines = written(events)
    for start, end, inner in zip([0, *ends], ends, scalars, strict=False):
        yield [*lines[start : start + 3], *inner, *lines[start + 3 : end]]


def hyperparameters_of(job: Job) -> dict:
    """Return what kindling.cli.overrides.hyperparameters_of gives of a single run."""
    return hyperparameters(job.raw, job.resolved, job.choices, given=set(parse_overrides(job.overrides)))


@lru_cache(maxsize=64)
def _nodes(nodes: str) -> str:
    """The part of a config that members mostly have in common; it takes long to write."""
    return _yaml(json.loads(nodes))


def _line(key: str, value: object) -> str:
    """Return one value as YAML; most members have the same ones."""
    return _one(key, json.dumps(value))


@lru_cache(maxsize=10_000)
def _one(key: str, value: str) -> str:
    return _yaml({key: json.loads(value)})


def _yaml(content) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)
