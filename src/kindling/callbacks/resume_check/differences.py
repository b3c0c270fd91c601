"""The differences between the folders of two runs, or of two sweeps, that should have given the same results."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary

from kindling.training.checkpoint_files import load

# What describes how a run was trained rather than what came out: its time, its place, and its command, which names it.
NOT_COMPARED = (
    *("hydra.yaml", "overrides.yaml", "multirun.yaml", "train.log", "train_ddp", "workers.log", ".claim"),
    *("optuna.db", "leaderboard.md"),  # which has the times of leaderboard.csv
)
OWN_VALUES = {"seconds", "version", "command", "versions", "git", "marks", "checkpoint", "folder"}


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield a sentence for every file of two folders that differs, with its first tensor, value or row that does.

    Weights, optimizer states, metrics, pictures (by their pixels) and records for TensorBoard are compared exactly.
    Times, logs, and the files of Hydra are not compared.

    Args:
        one: a run's or a sweep's folder; of the uninterrupted one, if there is one.
        other: the folder that is compared with it.
    """
    files = [dict(_files(folder)) for folder in (one, other)]
    for name in sorted(files[0].keys() | files[1].keys()):
        if name not in files[1]:
            yield f"{name}: missing"
        elif name not in files[0]:
            yield f"{name}: only the resumed run has it"
        elif found := difference(files[0][name], files[1][name]):
            yield f"{name}: {found}"
    for folder in sorted({path.parent for name, path in files[0].items() if name.endswith(".json")}):
        place = folder.relative_to(one)
        if found := _first_difference(_events(folder), _events(other / place), "record"):
            yield f"{place / 'events'}: {found}"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith((*NOT_COMPARED, "events.")):
            yield name, path


def difference(one: Path, other: Path) -> str:
    """Return where two files with the results of a run differ first, or an empty string.

    Args:
        one: a checkpoint, CSV, JSON, or picture.
        other: the file that is compared with it.
    """
    if one.suffix == ".ckpt":
        return _first_difference(load(one), load(other))
    if one.suffix == ".json":
        return _first_difference(json.loads(one.read_bytes()), json.loads(other.read_bytes()))
    if one.suffix == ".csv":
        return _first_difference(_rows(one), _rows(other), "row")
    if one.suffix == ".png":
        return "" if np.array_equal(imread(one), imread(other)) else "the pictures differ"
    return "" if one.read_bytes() == other.read_bytes() else "the files differ"


def _rows(path: Path) -> list[list[str]]:
    """Return the rows of a CSV without its columns of times."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    kept = [i for i, name in enumerate(rows[0] if rows else ()) if name not in OWN_VALUES]
    return [[row[i] for i in kept if i < len(row)] for row in rows]


def _events(folder: Path) -> list[tuple[int, str, bytes | str]]:
    """Return step, tag and value of all records of a folder's event files, in their order, tag by tag."""
    files = sorted(folder.glob("events.out.tfevents.*"))
    events = [event for file in files for event in EventFileLoader(str(file)).Load()]
    values = [(event.step, value) for event in events for value in event.summary.value]
    kept = [(step, value) for step, value in values if value.metadata.plugin_data.plugin_name != "hparams"]
    records = [(step, value.tag, _value(value, folder)) for step, value in kept]  # hyperparameters have the time
    return sorted(records, key=lambda record: record[1])


def _value(value: Summary.Value, folder: Path) -> bytes | str:
    if value.metadata.plugin_data.plugin_name == "text":  # the config has the folder
        return value.tensor.string_val[0].decode("utf-8").replace(str(folder.absolute()), "")
    if value.tag == "__run_graph__":  # whose attributes have no order
        return GraphDef.FromString(value.tensor.string_val[0]).SerializeToString(deterministic=True)
    return value.SerializeToString(deterministic=True)


def _first_difference(one: Any, other: Any, path: str = "") -> str:
    """Return where two nested values differ first, or an empty string if they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in dict.fromkeys([*one, *other]) if name not in OWN_VALUES]
        pairs = [(f"{path}.{name}".lstrip("."), one.get(name), other.get(name)) for name in names]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip_longest(one, other))]
    else:
        return "" if _equal(one, other) else f"{path} is {_short(other)} instead of {_short(one)}"
    return next((found for name, a, b in pairs if (found := _first_difference(a, b, name))), "")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same_kind = one.dtype == other.dtype and one.shape == other.shape
        return same_kind and torch.allclose(one, other, rtol=0, atol=0, equal_nan=one.is_floating_point())
    return type(one) is type(other) and (one == other or (one != one and other != other))


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)}, {value.flatten()[:3].tolist()}...".replace("[", "").replace("]", "")
    return repr(value)[:100]
