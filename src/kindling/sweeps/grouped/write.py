"""A member's folder, with what a single run leaves: made beside its name and renamed, so there is none half written."""

import csv
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
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
from kindling.cli.overrides import command, typed
from kindling.data.base import Data
from kindling.files import write_json
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.events import record, scalar_records
from kindling.sweeps.grouped.stack import Stack
from kindling.sweeps.grouped.tracker import Watch
from kindling.training.result import result, write_counts
from kindling.training.scores import NEVER_DEFINED, best_scalars


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

    def events(self) -> Iterator[list[np.ndarray]]:
        """Of each member its records, an epoch each; a hundred members at a time."""
        for start in range(0, len(self.table), 100):
            some = self.table[start : start + 100]
            by_epoch = [scalar_records(self.columns, e + 1, some[:, e]) for e in range(some.shape[1])]
            for m in range(len(some)):
                yield [records[m] for records in by_epoch[: self.epochs[start + m]]]


def write_members(jobs: list[Job], watch: Watch, stack: Stack, data: Data, seconds: float) -> None:
    """Write the folders of those members that have none."""
    records = Records(watch)
    for m, (job, events) in enumerate(zip(jobs, records.events(), strict=True)):
        if not job.folder.exists():
            _write(m, job, records, events=events, stack=stack, data=data, seconds=seconds)


def _write(
    m: int, job: Job, records: Records, events: list[np.ndarray], stack: Stack, data: Data, seconds: float
) -> None:
    folder = job.folder.parent / ".part" / job.folder.name
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier, killed attempt
    for inner in (".hydra", "checkpoints"):
        (folder / inner).mkdir(parents=True)
    nodes = {key: value for key, value in job.raw.items() if isinstance(value, dict)}
    config = _yaml({key: value for key, value in job.raw.items() if key not in nodes}) + _nodes(json.dumps(nodes))
    (folder / ".hydra" / "config.yaml").write_text(config, encoding="utf-8")
    (folder / ".hydra" / "overrides.yaml").write_text(_yaml(job.overrides), encoding="utf-8")
    (folder / ".claim").touch()
    outcome = _outcome(m, job, records, stack=stack, seconds=seconds)
    _metrics(folder / "metrics.csv", m, records)
    _checkpoints(folder / "checkpoints", m, records, stack=stack, data=data)
    counts = records.watch.state["counts"]
    if counts and outcome["best_epoch"] and job.resolved["callbacks"].get("confusion"):
        names = stack.templates[0][1].hparams["class_names"]
        write_counts(folder / f"confusion_matrix_{records.stage}.csv", counts[0][m].tolist(), names)
    if (job.resolved.get("logger") or {}).get("tensorboard"):
        _events(folder, job, config, events=events, outcome=outcome, stage=records.stage)
    write_json(folder / "result.json", outcome)
    os.rename(folder, job.folder)


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
        watched=(monitor, watch.mode), tested={}, params=sum(stack.sizes), command=command(job.overrides),
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


def _checkpoints(folder: Path, m: int, records: Records, stack: Stack, data: Data) -> None:
    template = next(t for part, t in stack.templates if part.start <= m < part.stop)
    common = {
        "pytorch-lightning_version": pl.__version__,
        "hparams_name": "kwargs",
        "hyper_parameters": dict(template.hparams),
        type(data).__qualname__: data.state_dict(),
    }
    for name, epoch in (("best", records.best_epochs[m]), ("last", records.epochs[m])):
        if epoch:
            weights, *buffers = (tensor[m].cpu() for tensor in records.watch.state[name])
            counted = {"epoch": epoch - (name == "best"), "global_step": records.watch.steps[epoch - 1]}
            state = {"state_dict": stack.state_dict_of(weights, buffers)}
            torch.save({**counted, **common, **state}, folder / f"{name}.ckpt")


def _events(folder: Path, job: Job, config: str, events: list[np.ndarray], outcome: dict, stage: str) -> None:
    """As kindling.training.loggers.TensorBoard and a run's end write them."""
    knobs = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in hyperparameters_of(job).items()}
    _, start, end = hparams(knobs, {})
    values = [Summary.Value(tag=name, simple_value=value) for name, value in best_scalars(outcome["metrics"]).items()]
    now = time.time()
    parts = [
        Event(wall_time=now, file_version="brain.Event:2"),
        Event(wall_time=now, summary=start),
        Event(wall_time=now, summary=text("config", f"```yaml\n{config}\n```")),
    ]
    last = [Event(wall_time=now, step=outcome["best_epoch"], summary=Summary(value=values))] * bool(values)
    last += [Event(wall_time=now, summary=end)]
    # Not .0 at the end: torch's writer of pictures would take the same name within the second.
    name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.member"
    with (folder / name).open("wb") as file:
        file.writelines([*map(record, parts), *events, *map(record, last)])


def hyperparameters_of(job: Job) -> dict:
    """Return what kindling.cli.overrides.hyperparameters_of gives of a single run."""
    return hyperparameters(job.raw, job.resolved, job.choices, given=set(typed(job.overrides)))


@lru_cache(maxsize=64)
def _nodes(nodes: str) -> str:
    """The part of a config that members mostly have in common; it takes long to write."""
    return _yaml(json.loads(nodes))


def _yaml(content) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)
