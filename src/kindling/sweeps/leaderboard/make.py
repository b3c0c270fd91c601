"""Make the leaderboard of a sweep's folder: rank its jobs, draw the effects and test the winner."""

import logging
from collections.abc import Sequence
from pathlib import Path

from kindling.cli.monitor import split
from kindling.files import write_atomically
from kindling.sweeps.leaderboard.baselines.score import add_baselines
from kindling.sweeps.leaderboard.board import Board, rank
from kindling.sweeps.leaderboard.ensemble.add import add_ensemble
from kindling.sweeps.leaderboard.jobs import Job, read_jobs
from kindling.sweeps.leaderboard.write import as_csv, as_markdown, as_text
from kindling.sweeps.said_once import said_once
from kindling.training.result import number
from kindling.training.tolerate import optional, reason

log = logging.getLogger("kindling")

MONITORED = "the monitored value, by which they choose their best epoch"


@said_once()
def make_board(folder: Path, trees: Sequence[str] = ()) -> Board:
    """Rank the jobs, print the table, write leaderboard.csv, leaderboard.md and effects.png, test the winner.

    Args:
        folder: the folder of the sweep.
        trees: additional baselines, see `tree_names`.

    Raises:
        UserError: the folder has no jobs.
    """
    board = rank(folder, read_jobs(folder))
    with optional("baselines", interruptible=True):
        add_baselines(board, trees)
    with optional("ensemble", interruptible=True):
        add_ensemble(board)
    with optional("comparison of the best variants"):
        _compare(board)
    print(as_text(board))
    write_atomically(folder / "leaderboard.csv", as_csv(board))
    write_atomically(folder / "leaderboard.md", as_markdown(board))
    if len(board.rows) > 1:
        with optional("effects.png"):
            from kindling.sweeps.leaderboard.effects.draw import png  # matplotlib, 0.5 s

            write_atomically(folder / "effects.png", png(board))
    if board.rows:
        tested = _tested(board)
        print(tested)
        board.notes.append(tested)
        write_atomically(folder / "leaderboard.md", as_markdown(board))
    return board


def _compare(board: Board) -> None:
    """Add notes that compare the winner with the runner-up and the baselines."""
    from kindling.sweeps.leaderboard.significance import verdict  # numpy

    incomparable = _incomparable(board)
    if not incomparable and (note := verdict(board)):
        board.notes.insert(0, note)
    better = max if board.mode == "max" else min
    best = better(board.baselines, key=lambda row: row.mean, default=None)
    if board.rows and best and better(best.mean, board.rows[0].mean) == best.mean:
        board.notes.append(f"No variant is better than the baseline {best.name} ({number(best.mean)}).")
    if incomparable == ["data"]:
        board.notes.append(
            f"The variants use different data: compare each one's {board.metric} only with its own baselines."
        )
    elif incomparable:
        shared = "val/accuracy" if "val/accuracy" in board.rows[0].finished[0].metrics else "val/mse"
        alike = f" For a fair comparison, give all of them the same, e.g. monitor={shared}."
        board.notes.append(
            f"The variants differ in {' and '.join(incomparable)}, so their {board.metric} cannot be compared."
            f"{alike * (incomparable == [MONITORED])}"
        )


def _incomparable(board: Board) -> list[str]:
    """Return the swept options that change how, or on which samples, the ranked metric is computed."""
    options = ["data", *(f"data.{name}" for name in ("path", "target", "test_path", "val_share", "test_share", "task"))]
    if split(board.metric)[1] == "loss":
        options += ["loss", "model.loss", "quantiles", "data.scale_target", "data.balance", "data.weight"]
    found = [name for name in [*options, "monitor"] if len({row.options.get(name) for row in board.rows}) > 1]
    monitored = {job.result.get("monitor") for row in board.rows for job in row.finished}
    return found + [MONITORED] * (len(monitored) > 1 and "monitor" not in found)


def _tested(board: Board) -> str:
    """Describe the test metrics of the winner and the ensemble; with test=true, also test all other jobs."""
    winner = board.rows[0].best_job(board.mode)
    others = [job for job in board.jobs if job.wants_test and job.status == "finished" and job is not winner]
    failed = {}
    for job in (winner, *others):
        try:
            _test_metrics(job)
        except Exception as error:  # the user's model or data; the ranking stands without it
            failed[job] = reason(error)
    if winner in failed:
        return f"The winner was not tested: {failed[winner]}"
    lost = [f"{len(failed)} other jobs were not tested, e.g. {job.folder.name}: {why}" for job, why in failed.items()]
    found = [f"winner on the test samples: {_formatted(_test_metrics(winner))}"]
    found += [f"ensemble on the test samples: {_formatted(board.ensemble_test)}"] * bool(board.ensemble_test)
    return "\n".join([*found, *lost[:1]])


def _formatted(metrics: dict[str, float | None]) -> str:
    return "  ".join(f"{split(name)[1]} {number(value)}" for name, value in metrics.items())


def _test_metrics(job: Job) -> dict[str, float | None]:
    """Return the job's test metrics, computed now unless it has any; jobs trained together have none."""
    metrics = {name: value for name, value in job.metrics.items() if split(name)[0] == "test"}
    if metrics:
        return metrics
    from kindling.training.prediction.evaluate import evaluate

    level = log.level
    log.setLevel(logging.WARNING)  # only the run's test metrics are wanted here
    try:
        job.metrics.update(evaluate(job.folder))
    finally:
        log.setLevel(level)
    return {name: value for name, value in job.metrics.items() if split(name)[0] == "test"}
