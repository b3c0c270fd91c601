"""The content of result.json, and the table of metrics on the console."""

import csv
import math
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kindling.cli.monitor import split
from kindling.files import PROJECT, replacing


def result(
    status: str, seconds: float, epochs: int, *, best: dict[str, Any], monitored: tuple[str | None, str | None],
    tested: dict[str, float], params: int | None, command: str,
) -> dict[str, Any]:  # fmt: skip
    """Return the content of result.json.

    Args:
        status: "finished", "failed", "diverged" or "interrupted".
        seconds: training time of all parts of the run.
        epochs: number of epochs that have ended.
        best: epoch (from 1), score and metrics of the best epoch; empty if there was none.
        monitored: the name of the monitored value, and "min" or "max"; None if there is none.
        tested: the result of `test_metrics`; empty if there was no test.
        params: number of trainable parameters.
        command: the command that reproduces the run.
    """
    metrics = {name: value for name, value in best.get("metrics", {}).items() if name != "lr"}
    metrics |= tested
    return {
        "status": status,
        "seconds": round(seconds, 3),
        "epochs": epochs,
        "best_epoch": best.get("epoch"),
        "score": best.get("score"),
        "monitor": monitored[0],
        "mode": monitored[1],
        "metrics": {
            name: value if math.isfinite(value) else None for name, value in metrics.items()
        },  # JSON has no NaN
        "params": params,
        "command": command,
        "versions": versions(),
        "git": commit(),
    }


def test_metrics(logged: Mapping[str, Any]) -> dict[str, float]:
    """Return the values logged during testing, with the prefix "test/" for names without that stage."""
    return {name if split(name)[0] == "test" else f"test/{name}": float(value) for name, value in logged.items()}


def table(metrics: dict[str, float | None], best_epoch: int | str) -> str:
    """Return a table of metrics with the columns train, val, test, and one for names without a stage."""
    cells = {}
    for name, value in metrics.items():
        cells[(None, name) if split(name) in cells else split(name)] = value  # both val_loss and val/loss
    stages = [stage for stage in ("train", "val", "test", None) if any(other == stage for other, _ in cells)]
    names = list(dict.fromkeys(name for _, name in cells))
    header = f"best epoch {best_epoch}"
    width = max(map(len, [header, *names])) + 2
    lines = [header.ljust(width) + "".join((stage or "logged").rjust(10) for stage in stages)]
    for name in names:
        values = (number(cells[stage, name]).rjust(10) if (stage, name) in cells else " " * 10 for stage in stages)
        lines.append(name.ljust(width) + "".join(values).rstrip())
    return "\n".join(lines)


def loss_note(metrics: dict[str, float | None], target_std: list[float] | None) -> str:
    """Return an explanation of why a regression's loss differs from its MSE.

    It is empty if they are equal, or if the loss is not the MSE of the scaled target.

    Args:
        metrics: the run's metrics.
        target_std: standard deviations by which the targets were divided, or None.
    """
    stages = ("train", "val", "test")
    values = [(metrics.get(f"{stage}/loss"), metrics.get(f"{stage}/mse")) for stage in stages]
    pairs = [(loss, mse) for loss, mse in values if loss is not None and mse is not None]
    factors = [std**-2 for std in target_std or ()]
    if not pairs or all(factor == 1 for factor in factors):
        return ""
    if any(not min(factors) * mse <= 1.001 * loss <= 1.003 * max(factors) * mse for loss, mse in pairs):
        return ""
    return "loss is the MSE of the scaled target (mean 0, standard deviation 1); mse and mae are in the original units"


def number(value: float | None) -> str:
    """Format a metric's value with at least three digits, and without those that nobody reads."""
    if value is None or math.isnan(value):
        return "undefined"
    size = abs(value)
    if 1_000 <= size < 1e7:
        return f"{value:,.0f}" if size >= 10_000 else f"{value:.1f}"
    return f"{value:.4f}" if size == 0 or 0.001 <= size < 1_000 else f"{value:.3g}"


def write_counts(path: Path, counts: list[list[int]], names: list[str]) -> None:
    """Write confusion counts as CSV, with true classes as rows and predicted classes as columns."""
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["true", *names], *rows])


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that the results depend on."""
    libraries = ("torch", "pytorch-lightning", "torchmetrics", "hydra-core")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


@cache
def commit() -> str | None:
    """Return the commit, or None outside git.

    "+changes" is appended if tracked files differ from it, and "+untracked" if there are untracked code or YAML files.
    """
    try:
        described = _git("describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*")
        untracked = _git("ls-files", "--others", "--exclude-standard", "*.py", "*.yaml", "*.yml")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{described}+untracked" if untracked else described


def _git(*args: str) -> str:
    command = ["git", *args]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=5
    )
    return done.stdout.strip()
