"""Select jobs of a sweep, with weights, whose averaged predictions are best on the validation samples.

Starting with the best job, the job is added, with replacement, whose addition gives the best averaged predictions:
probabilities, or the values of a regression. The selected ensemble is scored next to the mean of all jobs and the best
job. Jobs may differ in everything but the data: seeds, models, scaling, folds of a cross-validation. The result is
written to ensemble.json in the sweep's folder; `python -m kindling predict run=<sweep folder> ensemble=true` uses it.
Caruana et al. 2004, "Ensemble selection from libraries of models".
"""

import logging
import statistics
from pathlib import Path
from typing import Any

from kindling.cli.arguments import parse
from kindling.sweeps.leaderboard.board import rank
from kindling.sweeps.leaderboard.ensemble.add import version_of
from kindling.sweeps.leaderboard.jobs import read_jobs
from kindling.sweeps.said_once import said_once

USAGE = "python -m kindling ensemble sweep=<sweep folder> [metric=val/accuracy] [trust=true]"
log = logging.getLogger("kindling")
COLUMNS = {"best": "best job", "uniform": "all jobs", "metrics": "ensemble"}


def ensemble(folder: Path, trust: bool = False, metric: str | None = None) -> dict[str, Any]:
    """Select an ensemble, write ensemble.json, and return its content; see `make_ensemble`.

    Args:
        trust: open the jobs' checkpoints although that may execute code.
        metric: the metric of the validation samples that selects; None: the one that ranks the sweep.

    Raises:
        UserError: the folder has no sweep, fewer than two finished jobs, jobs on different data, no samples, or no such
            metric.
    """
    board = rank(folder, read_jobs(folder))
    for job in board.unranked:
        log.warning(f"left out: {job.folder.name}, {', '.join(filter(None, (job.status, job.reason)))}")
    from kindling.sweeps.leaderboard.ensemble.select import make_ensemble  # torch

    with said_once():
        return make_ensemble(board, trust, version_of(board), metric=metric)


def table(found: dict[str, Any]) -> str:
    """Format the weights of the selected jobs, and the metrics of the validation and the test samples."""
    jobs, validation = found["jobs"], found["validation"]
    how = f"selected by {validation['metric']}" if validation else "with equal weights: there are no validation samples"
    lines = [f"ensemble of {len(found['weights'])} of {len(jobs)} jobs, {how}", f"{'weight':8}job"]
    lines += [f"{weight:<8.4g}{job}" for job, weight in found["weights"].items()]
    if validation:
        lines += ["", *_metrics("validation", validation["rows"], validation, "val/")]
    if found["rows"]:
        lines += ["", *_metrics("test", found["rows"], found, "test/")]
    return "\n".join(lines)


def _metrics(stage: str, rows: int, found: dict[str, Any], prefix: str) -> list[str]:
    """Return a row for every metric, with the minimum, mean and maximum of all jobs if they are known."""
    columns = {key: head for key, head in COLUMNS.items() if found[key]}
    members = found.get("members", {})
    left = max(12, *(len(name) for name in found["uniform"]))
    spread = ("min", "mean", "max") if members else ()
    head = f"{rows:,} {stage} samples"
    lines = [f"{head:{left + 10}}" + "".join(f"{name:>11}" for name in [*spread, *columns.values()])]
    for name in found["uniform"]:
        values = [value for value in members.get(name, []) if value is not None]
        cells = [min(values), statistics.fmean(values), max(values)] if values else [None] * len(spread)
        cells += [found[key][name] for key in columns]
        lines.append(f"{name.removeprefix(prefix):{left + 10}}" + "".join(f"{_cell(cell):>11}" for cell in cells))
    return lines


def _cell(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def main(args: list[str]) -> None:
    given = parse(args, USAGE)
    folder = Path(given["sweep"])
    print(table(ensemble(folder, given.get("trust") == "true", given.get("metric"))))
    print(f"written  {folder / 'ensemble.json'}")
