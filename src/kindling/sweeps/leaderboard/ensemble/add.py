"""Add the ensemble of a sweep to its leaderboard, where that takes a few seconds. Imports torch only if it is made.

The ensemble is read from ensemble.json if that was made from the same jobs.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import read_json, text_of
from kindling.cli.monitor import split
from kindling.files import display_path
from kindling.sweeps.leaderboard.board import Board, Row
from kindling.sweeps.leaderboard.config_text import data_and_model_text, data_text, versions, without
from kindling.sweeps.leaderboard.jobs import Job

CONFIG = Path(".hydra/config.yaml")
MIN_JOBS, MAX_JOBS, MAX_SECONDS = 3, 200, 5.0
# To read a job's weights, and to read a config and build its model; measured with 200 jobs of 4 networks on 2 cores.
JOB_SECONDS, CONFIG_SECONDS = 0.003, 0.025
# See library.MEMBER_OPTIONS; the others are left out of the text already.
MEMBER_OPTIONS = ("passes", "features", "degree", "scale", "fold")


def add_ensemble(board: Board) -> None:
    """Select an ensemble of at least three jobs on the same data, and add its row, or a note on how to make it."""
    jobs = _ranked(board)
    if len(jobs) < MIN_JOBS or split(board.metric)[0] != "val":
        return
    if missing := [f for job in jobs for f in (job.folder / CONFIG, job.checkpoint) if not f.is_file()]:
        board.notes.append(f"No ensemble: {display_path(missing[0])} is missing")
        return
    if not _have_the_same_data(jobs, board.metric):
        return
    found = _read(board.folder / "ensemble.json")
    version = version_of(board)
    if found.get("version") != version:
        if len(jobs) > MAX_JOBS or _seconds(jobs) > MAX_SECONDS:
            command = f"python -m kindling ensemble sweep={display_path(board.folder).as_posix()}"
            board.notes.append(f"No ensemble, because predicting with {len(jobs)} jobs takes longer: {command}")
            return
        from kindling.sweeps.leaderboard.ensemble.select import make_ensemble  # torch

        try:
            found = make_ensemble(board, version=version)
        except UserError as error:
            board.notes.append(f"No ensemble: {error}")
            return
    results, metric = found["validation"].get("folds", []), found["validation"].get("metric")
    if results and all(board.metric in result for result in results):
        name = f"{len(found['weights'])} of {len(found['jobs'])} jobs"
        name += f", selected by {metric}" * (metric != board.metric)
        options = dict.fromkeys(board.options, "")
        board.ensemble = Row(options, board.metric, results, finished=[], jobs=[], name=name)
        board.ensemble_test = found["metrics"]


def version_of(board: Board) -> str:
    """Return a hash of the metric and the ranked jobs with their weights and data."""
    jobs = _ranked(board)
    weights = [(job.folder.name, *_stamp(job.checkpoint)) for job in jobs]
    texts = sorted(set(_data_texts(jobs, board.metric)))
    content = [board.metric, board.mode, sorted(weights), texts, [versions(text) for text in texts]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _ranked(board: Board) -> list[Job]:
    return [job for row in board.rows for job in row.finished]


def _have_the_same_data(jobs: list[Job], metric: str) -> bool:
    return len({without(text, MEMBER_OPTIONS) for text in set(_data_texts(jobs, metric))}) == 1


def _data_texts(jobs: list[Job], metric: str) -> list[str]:
    """Return the part of each job's config that describes the data; jobs without a config are left out."""
    configs = [job.folder / CONFIG for job in jobs]
    return [data_text(text_of(config), metric) for config in configs if config.is_file()]


def _stamp(file: Path) -> tuple[int, int]:
    return (file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else (0, 0)


def _seconds(jobs: list[Job]) -> float:
    """Return about how long predicting takes: for each job, no longer than an epoch of its training."""
    epochs = ((job.result.get("seconds") or 0) / (job.result.get("epochs") or 1) for job in jobs)
    configs = {data_and_model_text(text_of(job.folder / CONFIG)) for job in jobs}
    return sum(epochs) + JOB_SECONDS * len(jobs) + CONFIG_SECONDS * len(configs)


def _read(file: Path) -> dict[str, Any]:
    """Return the content of ensemble.json, or an empty dictionary if it is missing or damaged."""
    try:
        return read_json(file, version=str, weights=dict, jobs=list, metrics=dict, validation=dict)
    except Damaged:
        return {}
