"""Restore damaged files of a run's folder from its last.ckpt, which has the best weights and all epochs."""

import csv
import io
import logging
from pathlib import Path
from typing import Any

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import read_result, read_table
from kindling.files import BEST, LAST, replacing, write_atomically
from kindling.training.load import load

log = logging.getLogger("kindling")

TRAINING_STATE = ("optimizer_states", "lr_schedulers", "callbacks", "loops", "kept")  # keys that best.ckpt lacks


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; the errors are those of the file system, unlike torch's own."""
    import torch

    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_atomically(path, content.getvalue())


def derive_best(checkpoint: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
    """Return the content of best.ckpt: best weights, no optimizer state.

    Args:
        checkpoint: the content of last.ckpt.
        best: the best epoch, see `BestAndLast.best`.
    """
    kept = {key: value for key, value in checkpoint.items() if key not in TRAINING_STATE}
    weights = {name: tensor.cpu() for name, tensor in best["weights"].items()}
    return kept | {"state_dict": weights, "epoch": best["epoch"] - 1, "global_step": best["step"]}


def load_best(folder: Path, trust: bool = False) -> dict[str, Any]:
    """Load a run's checkpoint with the best weights, which is restored from last.ckpt if it cannot be read.

    Raises:
        UserError: there is none, and it cannot be restored.
    """
    try:
        return load(folder / BEST, trust)
    except Damaged as error:
        if not (folder / BEST).exists() and not (folder / LAST).exists():
            raise UserError(
                f"{folder} has no {BEST}: the run ended before its first epoch was complete. Train it again."
            ) from error
        damaged = error
    try:
        state = load(folder / LAST, trust)
    except Damaged as error:
        also = Damaged(folder / BEST, f"{damaged.why}, and {LAST.name}, which would replace it: {error.why}")
        raise also from error
    best = state.get("callbacks", {}).get("BestAndLast", {}).get("best")
    if not best:
        raise Damaged(folder / BEST, f"{damaged.why}, and {LAST.name} does not contain the best weights") from damaged
    restored = derive_best(state, best)
    save(restored, folder / BEST)
    log.warning(f"{folder / BEST} ({damaged.why}) was restored from {LAST.name}, with the best epoch, {best['epoch']}")
    return restored


def update_best(folder: Path, checkpoint: dict[str, Any], best: dict[str, Any], trust: bool = False) -> None:
    """Derive best.ckpt from last.ckpt if the run was killed between writing the two.

    Args:
        checkpoint: the content of best.ckpt.
        best: the best epoch, see `BestAndLast.best`.
    """
    current = derive_best(load(folder / LAST, trust), best)
    if any(checkpoint.get(key) != current.get(key) for key in ("epoch", "global_step", "temperature")):
        save(current, folder / BEST)


def load_last(folder: Path, trust: bool = False) -> dict[str, Any]:
    """Load the checkpoint from which a run is resumed.

    Raises:
        UserError: it cannot be read, or has no state of training.
    """
    state = load(folder / LAST, trust)
    if "loops" not in state:
        raise Damaged(folder / LAST, "it has no state of training")
    return state


def write_metrics(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Write a metrics.csv atomically."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_metrics(folder: Path, trust: bool = False) -> list[dict[str, str]]:
    """Return the rows of a run's metrics.csv, which is restored from last.ckpt if it cannot be read.

    Raises:
        Damaged: it cannot be restored either.
    """
    path = folder / "metrics.csv"
    try:
        return _read_metrics(folder)
    except Damaged as error:
        damaged = error
    try:
        records = load(folder / LAST, trust).get("callbacks", {}).get("Records")
    except Damaged as error:
        raise Damaged(path, f"{damaged.why}, and {LAST.name}, which has its rows: {error.why}") from error
    if not records:
        raise damaged
    write_metrics(path, records["columns"], records["rows"])
    log.warning(f"{path} ({damaged.why}) was restored from {LAST.name}")
    return [{name: str(value) for name, value in row.items()} for row in records["rows"]]


def _read_metrics(folder: Path) -> list[dict[str, str]]:
    path, result = folder / "metrics.csv", read_result(folder)
    rows = read_epochs(path)
    if result["status"] == "finished" and len(rows) != result.get("epochs", len(rows)):
        raise Damaged(path, f"it has {len(rows)} epochs instead of {result['epochs']}")
    return rows


def read_epochs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics.csv.

    Raises:
        Damaged: it cannot be read, or has anything but numbers for the epochs 1, 2, ...
    """
    header, cells = read_table(path, "epoch", "step")
    rows = [dict(zip(header, row, strict=True)) for row in cells]
    if [row["epoch"] for row in rows] != [str(i) for i in range(1, len(rows) + 1)]:
        raise Damaged(path, "its epochs are not 1, 2, ...")
    for row in rows:
        if odd := [name for name, cell in row.items() if cell and not _is_number(cell)]:
            raise Damaged(path, f"{odd[0]} of epoch {row['epoch']} is not a number")
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
