"""The parts of result.json and of the table on the console."""

import csv
import json
import math
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kindling.files import PROJECT


def result(
    status: str, seconds: float, epochs: int, best: dict, watched: tuple, tested: dict, params: int | None, command: str
) -> dict:
    """The content of result.json.

    Args:
        best: epoch (from 1), score and metrics of the best epoch; empty if there was none.
        watched: the monitored value's name, and "min" or "max".
        tested: the test rows' metrics.
        params: trainable weights.
    """
    metrics = {name: value for name, value in best.get("metrics", {}).items() if name.startswith(("val/", "train/"))}
    metrics |= {name: float(value) for name, value in tested.items() if name.startswith("test/")}
    return {
        "status": status,
        "seconds": round(seconds, 3),
        "epochs": epochs,
        "best_epoch": best.get("epoch"),
        "score": best.get("score"),
        "monitor": watched[0],
        "mode": watched[1],
        "metrics": {name: value if math.isfinite(value) else None for name, value in metrics.items()},  # no NaN in JSON
        "params": params,
        "command": command,
        "versions": versions(),
        "git": commit(),
    }


def table(metrics: dict[str, float | None], best_epoch: int) -> str:
    """Metrics as rows, train, val and test as columns."""
    stages = [stage for stage in ("train", "val", "test") if any(name.startswith(f"{stage}/") for name in metrics)]
    names = dict.fromkeys(name.split("/", 1)[1] for name in metrics)
    left = max(map(len, names)) + 2
    lines = [f"best epoch {best_epoch}".ljust(left) + "".join(stage.rjust(10) for stage in stages)]
    left = len(lines[0]) - 10 * len(stages)
    for name in names:
        cells = (metrics.get(f"{stage}/{name}") for stage in stages)
        lines.append(name.ljust(left) + "".join(_cell(v).rjust(10) for v in cells))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.3g}"


def write_whole(path: Path, content: str | bytes) -> None:
    """Beside its name, then renamed: never half."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    os.replace(part, path)


def write_json(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")


def write_counts(path: Path, counts: list[list[int]], names: list[str]) -> None:
    """Confusion counts as CSV: rows true, columns predicted."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
        csv.writer(file).writerows([["true", *names], *rows])


@cache
def versions() -> dict[str, str]:
    """Of Python and of the libraries that a number depends on."""
    libraries = ("torch", "pytorch-lightning", "torchmetrics", "hydra-core")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


@cache
def commit() -> str | None:
    """The commit, with "+changes" where the tree differs from it and "+untracked" for code that git does not have.

    None outside git.
    """
    try:
        found = _git("describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*")
        new = _git("ls-files", "--others", "--exclude-standard", "*.py", "*.yaml", "*.yml")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{found}+untracked" if new else found


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=5
    )
    return done.stdout.strip()
