"""Select an ensemble of a sweep's jobs on the validation samples, and score it next to all jobs and the best one."""

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kindling import UserError
from kindling.cli.monitor import direction, split
from kindling.files import write_json
from kindling.sweeps.leaderboard.board import Board
from kindling.sweeps.leaderboard.ensemble.greedy import select
from kindling.sweeps.leaderboard.ensemble.library import Library, read_library
from kindling.sweeps.leaderboard.ensemble.samples import Samples
from kindling.sweeps.leaderboard.jobs import Job
from kindling.training.quiet import silence

Metrics = dict[str, float | None]


def make_ensemble(board: Board, trust: bool = False, version: str = "", metric: str | None = None) -> dict[str, Any]:
    """Select an ensemble, and write ensemble.json into the sweep's folder.

    Without validation samples, all jobs get the same weight.

    Args:
        board: the jobs of the sweep.
        trust: open the jobs' checkpoints although that may execute code.
        version: identifies the jobs, stored in the file.
        metric: the metric of the validation samples that selects; None: the board's.

    Returns:
        "jobs": folders of all jobs; "weights": folder -> weight, for the selected jobs; "best_jobs": the best job, or
        the jobs of its folds; "rows": number of test samples; "metrics", "uniform", "best": test metrics of the
        ensemble, of the mean of all jobs, and of the best job; "members": name -> each job's test metric;
        "validation": the same three for the validation samples (means over the folds), with "rows", the "metric" and
        "mode" that selected, and "folds", the ensemble's metrics for each fold. Names are those of result.json.

    Raises:
        UserError: there are fewer than two finished jobs, jobs on different data, neither validation nor test samples,
            or no such metric.
    """
    silence()
    ranked = {job for row in board.rows for job in row.finished}
    jobs = [job for job in board.jobs if job in ranked]
    if len(jobs) < 2:
        number = f"{len(jobs)} finished job{'s' * (len(jobs) != 1)}"
        raise UserError(f"{board.folder} has {number}: an ensemble needs at least two.")
    library = read_library(jobs, trust)
    if not library.num_val and not len(library.test.y):
        wanted = "set data.val_share or data.test_share"
        raise UserError(f"{board.folder} has neither validation nor test samples: {wanted}.")
    found = {"version": version, **_ensemble(library, board, metric)}
    write_json(board.folder / "ensemble.json", found)
    return found


def _ensemble(library: Library, board: Board, metric: str | None) -> dict[str, Any]:
    """Select the ensemble, and return the content of ensemble.json, without the version."""
    every, has_val = list(range(len(library.candidates))), library.num_val > 0
    name, mode = _criterion(library.val[0], board, metric)
    chosen = select(library.val_preds, partial(_score, library, name), mode == "max") if has_val else every
    mixtures = {"metrics": chosen, "uniform": every, "best": chosen[:1] if has_val else []}
    return {
        "jobs": [job.folder.name for job in library.jobs],
        "weights": _weights(library.candidates, chosen),
        "best_jobs": [job.folder.name for i in mixtures["best"] for job in library.candidates[i]],
        "rows": len(library.test.y),
        "members": _of_members(library) if len(library.test.y) else {},
        **{key: _test_metrics(library, mixture) for key, mixture in mixtures.items()},
        "validation": _validation(library, mixtures, f"val/{name}", mode) if has_val else {},
    }


def _criterion(samples: Samples, board: Board, metric: str | None) -> tuple[str, str]:
    """Return the metric that selects, without its stage, and whether it is to be "min" or "max"."""
    higher_is_better = samples.model.task.higher_is_better
    known = ["loss", *higher_is_better, *samples.model.custom_metrics]
    name = split(metric or board.metric)[1]
    if metric is None or metric == board.metric:
        return (name, board.mode) if name in known else ("loss", "min")
    if name not in known or split(metric)[0] not in ("val", None):
        raise UserError(f"metric={metric} is no metric of these validation samples: choose val/{', val/'.join(known)}.")
    return name, "max" if higher_is_better.get(name, direction(name) == "max") else "min"


def _score(library: Library, name: str, preds: list[Tensor]) -> Tensor:
    """Return the scores (K,) of averaged predictions, means over the folds like those of the leaderboard."""
    return torch.stack([part.score(name, own) for part, own in zip(library.val, preds, strict=True)]).mean(0)


def _weights(candidates: list[list[Job]], chosen: list[int]) -> dict[str, float]:
    """Return folder -> weight, the largest first; those of the folds of a candidate are equal."""
    counts = Counter(chosen).most_common()
    return {job.folder.name: n / len(chosen) / len(candidates[i]) for i, n in counts for job in candidates[i]}


def _test_metrics(library: Library, mixture: list[int]) -> Metrics:
    if not mixture or not len(library.test.y):
        return {}
    return _named("test", library.test.metrics(library.test_preds[mixture].mean(0)))


def _of_members(library: Library) -> dict[str, list[float | None]]:
    members = [_named("test", library.test.metrics(preds)) for preds in library.job_test_preds]
    return {name: [member[name] for member in members] for name in members[0]}


def _validation(library: Library, mixtures: dict[str, list[int]], metric: str, mode: str) -> dict[str, Any]:
    folds = {
        key: [
            _named("val", part.metrics(preds[mixture].mean(0)))
            for part, preds in zip(library.val, library.val_preds, strict=True)
        ]
        for key, mixture in mixtures.items()
    }
    found: dict[str, Any] = {"metric": metric, "mode": mode, "rows": library.num_val, "folds": folds["metrics"]}
    return found | {key: _means(parts) for key, parts in folds.items()}


def _means(folds: list[Metrics]) -> Metrics:
    """Return the means over the folds; None if a metric is undefined in any."""
    means: Metrics = {}
    for name in folds[0]:
        values = [value for fold in folds if (value := fold[name]) is not None]
        means[name] = sum(values) / len(values) if len(values) == len(folds) else None
    return means


def _named(stage: str, metrics: Metrics) -> Metrics:
    return {f"{stage}/{name}": value for name, value in metrics.items()}
