"""The parts of result.json and of the table on the console."""

import csv
import math
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kindling.cli.monitor import split
from kindling.files import PROJECT, replacing


def result(
    status: str, seconds: float, epochs: int, best: dict, watched: tuple, tested: dict, params: int | None, command: str
) -> dict:
    """Return the content of result.json.

    Args:
        best: epoch (from 1), score and metrics of the best epoch; empty if there was none.
        watched: the monitored value's name, or None, and "min" or "max".
        tested: from `test_metrics`; empty if there was no test.
        params: number of trainable weights.
    """
    metrics = {name: value for name, value in best.get("metrics", {}).items() if name != "lr"}
    metrics |= tested
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


def test_metrics(logged: dict) -> dict[str, float]:
    """Return what was logged while testing, with "test/" before a name that is not one of the test's."""
    return {name if split(name)[0] == "test" else f"test/{name}": float(value) for name, value in logged.items()}


def table(metrics: dict[str, float | None], best_epoch: int) -> str:
    """Return metrics as rows, with train, val and test as columns, and a column for names without a stage."""
    cells = {}
    for name, value in metrics.items():
        cells[(None, name) if split(name) in cells else split(name)] = value  # val_loss beside val/loss
    stages = [stage for stage in ("train", "val", "test", None) if any(place == stage for place, _ in cells)]
    names = list(dict.fromkeys(short for _, short in cells))
    first = f"best epoch {best_epoch}"
    left = max(map(len, [first, *names])) + 2
    lines = [first.ljust(left) + "".join((stage or "logged").rjust(10) for stage in stages)]
    for name in names:
        values = (number(cells[stage, name]).rjust(10) if (stage, name) in cells else " " * 10 for stage in stages)
        lines.append(name.ljust(left) + "".join(values).rstrip())
    return "\n".join(lines)


def loss_note(metrics: dict[str, float | None], target_std: list[float] | None) -> str:
    """Return why a regression's loss is not its mse; "" where they are the same, or the loss is not the scaled mse.

    Args:
        target_std: standard deviations by which the targets were divided, or None.
    """
    pairs = [(metrics.get(f"{stage}/loss"), metrics.get(f"{stage}/mse")) for stage in ("train", "val", "test")]
    pairs = [pair for pair in pairs if None not in pair]
    factors = [std**-2 for std in target_std or ()]
    if not pairs or all(factor == 1 for factor in factors):
        return ""
    if any(not min(factors) * mse <= 1.001 * loss <= 1.003 * max(factors) * mse for loss, mse in pairs):
        return ""
    return "loss is the mean squared error of the scaled target (mean 0, standard deviation 1), mse that of the target"


def number(value: float | None) -> str:
    """Return a metric's value as text, with at least three digits."""
    if value is None or math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.3g}"


def write_counts(path: Path, counts: list[list[int]], names: list[str]) -> None:
    """Confusion counts as CSV: rows true, columns predicted."""
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
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
