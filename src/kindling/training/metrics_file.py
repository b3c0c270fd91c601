"""Write, read and restore the metrics.csv of a run's folder; last.ckpt has its rows, too."""

import csv
import logging
from pathlib import Path
from typing import Any

from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import read_result, read_table
from kindling.files import LAST, replacing
from kindling.training.checkpoint_files import load

log = logging.getLogger("kindling")


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
