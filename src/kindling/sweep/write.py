"""A member's folder, with what a single run leaves: made beside its name and renamed, so there is none half written."""

import csv
import io
import os
import shutil
import socket
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, text

from kindling import cli
from kindling.data import Data
from kindling.result import result, write_json
from kindling.sweep.plan import Job
from kindling.sweep.stack import Stack
from kindling.sweep.watch import Watch


def write_member(m: int, job: Job, watch: Watch, stack: Stack, data: Data, seconds: float) -> None:
    """Write the folder of member m."""
    folder = job.folder.parent / ".part" / job.folder.name
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier, killed attempt
    for inner in (".hydra", "checkpoints"):
        (folder / inner).mkdir(parents=True)
    _dump(folder / ".hydra" / "config.yaml", job.raw)
    _dump(folder / ".hydra" / "overrides.yaml", job.overrides)
    (folder / ".claim").touch()
    rows = rows_of(m, watch)
    outcome = _outcome(m, job, watch, rows, stack, seconds)
    _metrics(folder / "metrics.csv", rows)
    _checkpoints(folder / "checkpoints", m, watch, stack, data, outcome, rows)
    counts = watch.state["counts"][0][m].tolist() if watch.state["counts"] and outcome["best_epoch"] else None
    if counts and job.resolved["callbacks"].get("confusion"):
        stage = "val" if any(name.startswith("val/") for name in rows[0]) else "train"
        names = stack.templates[0][1].hparams["class_names"]
        with (folder / f"confusion_matrix_{stage}.csv").open("w", newline="") as file:
            table = [[name, *row] for name, row in zip(names, counts, strict=True)]
            csv.writer(file).writerows([["true", *names], *table])
    if job.resolved["logger"].get("tensorboard"):
        _events(folder, job, rows, outcome)
    write_json(folder / "result.json", outcome)
    os.rename(folder, job.folder)


def rows_of(m: int, watch: Watch) -> list[dict]:
    """Member m's rows of metrics.csv."""
    ended = int(watch.state["stopped"][m]) or len(watch.history)
    return [
        {"epoch": epoch, "step": step, **{name: value[m].item() for name, value in values.items()}}
        for epoch, (step, values) in enumerate(zip(watch.steps[:ended], watch.history, strict=False), 1)
    ]


def _outcome(m: int, job: Job, watch: Watch, rows: list[dict], stack: Stack, seconds: float) -> dict:
    epoch = int(watch.state["best_epoch"][m])
    best = {}
    if epoch:
        row = rows[epoch - 1]
        score = row[watch.monitor] if watch.monitor in row else row["train/loss"]
        metrics = {name: value for name, value in row.items() if "/" in name}
        best = {"epoch": epoch, "score": score, "metrics": metrics}
    diverged = watch.state["diverged"][m]
    outcome = result(
        "diverged" if diverged else "finished",
        seconds, len(rows), best, (watch.monitor, watch.mode), {}, sum(stack.sizes), cli.command(job.overrides),
    )  # fmt: skip
    return outcome | ({"diverged": diverged} if diverged else {})


def _metrics(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _checkpoints(folder: Path, m: int, watch: Watch, stack: Stack, data: Data, outcome: dict, rows: list[dict]) -> None:
    template = next(t for part, t in stack.templates if part.start <= m < part.stop)
    common = {
        "pytorch-lightning_version": pl.__version__,
        "hparams_name": "kwargs",
        "hyper_parameters": dict(template.hparams),
        type(data).__qualname__: data.state_dict(),
    }
    for name, epoch in (("best", outcome["best_epoch"]), ("last", len(rows))):
        if epoch:
            weights, *buffers = (tensor[m].cpu() for tensor in watch.state[name])
            counted = {"epoch": epoch - (name == "best"), "global_step": rows[epoch - 1]["step"]}
            state = {"state_dict": stack.state_dict_of(weights, buffers)}
            torch.save({**counted, **common, **state}, folder / f"{name}.ckpt")


def _events(folder: Path, job: Job, rows: list[dict], outcome: dict) -> None:
    """As kindling.records.TensorBoard and a run's end write them."""
    knobs = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in knobs_of(job).items()}
    _, start, end = hparams(knobs, {})
    stage = "val/" if any(name.startswith("val/") for name in outcome["metrics"]) else "train/"
    best = {
        f"best/{name.replace('/', '_')}": value
        for name, value in outcome["metrics"].items()
        if name.startswith(stage) and value is not None
    }
    now = time.time()
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    config = yaml.dump(job.resolved, Dumper=yaml.CSafeDumper, sort_keys=False)
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    writer.write(Event(wall_time=now, summary=start).SerializeToString())
    writer.write(Event(wall_time=now, step=0, summary=text("config", f"```yaml\n{config}\n```")).SerializeToString())
    for row in rows:
        values = [Summary.Value(tag=k, simple_value=v) for k, v in row.items() if k not in ("epoch", "step")]
        writer.write(Event(wall_time=now, step=row["epoch"], summary=Summary(value=values)).SerializeToString())
    values = [Summary.Value(tag=k, simple_value=v) for k, v in best.items()]
    writer.write(Event(wall_time=now, step=outcome["best_epoch"], summary=Summary(value=values)).SerializeToString())
    writer.write(Event(wall_time=now, summary=end).SerializeToString())
    name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.0"
    (folder / name).write_bytes(buffer.getvalue())


def knobs_of(job: Job) -> dict:
    """What kindling.cli.knob_values gives of a single run."""
    values = {k: v for k, v in job.resolved.items() if not isinstance(v, dict) and k not in cli.NO_KNOBS}
    return {**{k: v for k, v in job.choices.items() if "/" not in k and v}, **values}


def _dump(path: Path, content) -> None:
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
