"""Compare runs of any folders: the options in which they differ, and their metrics."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kindling.cli.folders.read import read_result, read_yaml
from kindling.cli.monitor import split
from kindling.cli.plain import to_dict
from kindling.training.result import number
from kindling.training.run_folder import config_of

IGNORED = ("folder", "resume", "verbose", "test", "trust", "on_error", "repeat", "folds", "sweep.", "hydra.")


def compare(folders: list[Path]) -> tuple[list[dict[str, Any]], str]:
    """Return a record for each run, with what differs and its metrics, and a table of them, the best run first.

    Runs with the same monitored metric are ordered by it; others stay in the given order.

    Raises:
        UserError: a folder is not that of a run.
    """
    options = [_options(folder) for folder in folders]
    results = [_result(folder) for folder in folders]
    differing = _differing(options)
    records = []
    for folder, own, result in zip(folders, options, results, strict=True):
        metrics = result.get("metrics") or {}
        stage = "test" if any(split(name)[0] == "test" for name in metrics) else "val"
        shown = {name: value for name, value in metrics.items() if split(name)[0] in (stage, "")}
        given = {key: own.get(key) for key in differing}
        kept = {"params": result.get("params"), "epochs": result.get("epochs"), "status": result.get("status")}
        records.append({"run": str(folder), **given, **shown, **kept, "score": result.get("score")})
    if len({result.get("monitor") for result in results}) == 1 and all(r["score"] is not None for r in records):
        records.sort(key=lambda record: record["score"], reverse=results[0].get("mode") == "max")
    return records, _table(records)


def _options(folder: Path) -> dict[str, Any]:
    """Return the choices of the groups, and the other options as "data.path", without those that follow others."""
    options = _flat(to_dict(config_of(folder, trust=True), resolve=False))  # raises UserError
    file = folder / ".hydra" / "hydra.yaml"
    choices = OmegaConf.select(read_yaml(file), "hydra.runtime.choices") or {} if file.is_file() else {}
    return {name: choice for name, choice in choices.items() if not name.startswith("hydra")} | options


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        return {} if isinstance(node, str) and "${" in node else {prefix.rstrip("."): node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flat(value, f"{prefix}{key}.")
    return found


def _differing(options: list[dict[str, Any]]) -> list[str]:
    """Return the options that differ, without those of a group that differs itself."""
    keys = [key for key in dict.fromkeys(key for own in options for key in own) if not key.startswith(IGNORED)]
    differ = [key for key in keys if len({json.dumps(own.get(key), default=str) for own in options}) > 1]
    return [key for key in differ if key.split(".")[0] not in differ or "." not in key]


def _result(folder: Path) -> dict[str, Any]:
    return read_result(folder) if (folder / "result.json").is_file() else {"status": "unfinished"}


def _table(records: list[dict[str, Any]]) -> str:
    columns = [key for key in dict.fromkeys(key for record in records for key in record) if key != "score"]
    cells = [[_cell(column, record.get(column)) for column in columns] for record in records]
    widths = [max(len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [columns, *cells]]
    return "\n".join(line.rstrip() for line in lines)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) and "/" in column else str(value)
