"""Format the board as CSV, Markdown and text for the console."""

import csv
import io
import shlex
import shutil

from kindling.cli.monitor import split
from kindling.files import display_path
from kindling.plots.style import markdown_table
from kindling.sweeps.leaderboard.board import Board, Row
from kindling.sweeps.leaderboard.jobs import Job
from kindling.training.result import number

MAX_ROWS = 20  # on the console
SAMPLES = {"train": "training", "val": "validation", "test": "test"}


def as_csv(board: Board) -> str:
    """Format everything: ranked variants, the ensemble and baselines, then jobs without a score, one line each."""
    others = board.others
    head = ["rank", "status", "name", *board.options, board.metric, f"{board.metric} std", "n", "jobs"]
    lines: list[list[object]] = [[*head, *others, "params", "seconds", "folder", "command", "reason"]]
    for rank, row in enumerate([*board.rows, *board.without_rank], 1):
        job = row.best_job(board.mode) if row.finished else None
        lines.append(
            ["" if row.name else rank, board.kind(row) or "finished", row.name or board.label(row.options)]
            + [*row.options.values(), row.mean, row.std, len(row.results), len(row.jobs) or len(row.results)]
            + [*(row.others.get(name) for name in others), row.params, row.seconds]
            + ([job.folder.name, job.result.get("command"), ""] if job else ["", "", ""])
        )
    for job in board.unranked:
        options = [job.options.get(key, "") for key in board.options]
        end = [job.folder.name, job.result.get("command"), job.reason]
        seconds = job.result.get("seconds")
        lines.append(["", job.status, "", *options, "", "", 0, 1, *("" for _ in others), "", seconds, *end])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def as_markdown(board: Board) -> str:
    """Format the page leaderboard.md."""
    others = board.others
    lines = [f"# {board.folder.resolve().name}", *sentences(board, "`")]
    parts = [line if "`" in line else line.replace("<", "&lt;") for line in lines]
    parts.append(
        markdown_table([header(board, others), *(cells(board, r, row, others=others) for r, row in ranked(board))])
    )
    if len(board.rows) > 1:
        parts.append("![the effect of each option](effects.png)")
    if board.unranked:
        failed = [[job.folder.name, job.status, job.reason] for job in board.unranked]
        parts += ["Without a rank:", markdown_table([["job", "status", "reason"], *failed])]
    return "\n\n".join(parts) + "\n"


def as_text(board: Board) -> str:
    """Format the table for the console: at most MAX_ROWS variants, and as many other metrics as fit in a line."""
    others, shown = board.others, ranked(board)
    cut = max(0, len(board.rows) - MAX_ROWS)
    shown = [*shown[: len(board.rows) - cut], *shown[len(board.rows) :]]
    width = shutil.get_terminal_size((120, 24)).columns
    while True:
        lines = _aligned([header(board, others), *(cells(board, rank, row, others=others) for rank, row in shown)])
        if not others or len(lines[0]) <= width:
            break
        others = others[:-1]
    if cut:
        lines.insert(1 + MAX_ROWS, f"... {cut} more in leaderboard.csv")
    failures = _failures(board)
    lines += failures[:MAX_ROWS]
    if len(failures) > MAX_ROWS:
        lines.append(f"... {len(failures) - MAX_ROWS} more without a rank in leaderboard.csv")
    return "\n".join([*lines, *sentences(board)])


def sentences(board: Board, quote: str = "") -> list[str]:
    """Describe the winner, one sentence per line; `quote` is put around commands and paths."""
    if not board.rows:
        return [f"No job finished with a finite {board.metric}.", *board.notes]
    stage = SAMPLES.get(split(board.metric)[0] or "", "")
    scope = [f"{board.metric} and the metrics next to it: {stage} samples, best epoch of each job"] * bool(stage)
    job = board.rows[0].best_job(board.mode)
    command, path = job.result.get("command", ""), display_path(job.checkpoint).as_posix()
    found = [*scope, f"winner: {board.label(board.rows[0].options)}", f"command: {quote}{command}{quote}"]
    if "data.fold" in board.folded:
        args = [arg for arg in shlex.split(command) if not arg.lstrip("+").startswith(("data.fold=", "data.folds="))]
        found.append(f"the same on one split, without folds: {quote}{shlex.join(args)}{quote}")
    return [*found, f"checkpoint: {quote}{path}{quote}", *board.notes]


def ranked(board: Board) -> list[tuple[str, Row]]:
    """Return the rows with the text of their first column."""
    return [
        *((str(rank), row) for rank, row in enumerate(board.rows, 1)),
        *((f"{board.kind(row)}: {row.name}", row) for row in board.without_rank),
    ]


def header(board: Board, others: list[str]) -> list[str]:
    names = [split(name)[1] for name in others]
    return ["rank", *(board.options or ["variant"]), board.metric, "n", *names, "params", "seconds"]


def cells(board: Board, rank: str, row: Row, others: list[str]) -> list[str]:
    """Format the cells of a row; a baseline has values only for the options that identify its data."""
    options = list(row.options.values()) or ["all"]
    mean = number(row.mean)
    if row.std is not None:
        mean += f" ± {row.std:.4f}" if mean == f"{row.mean:.4f}" else f" ± {row.std:.3g}"  # as many digits as the mean
    values = [value_of(row.others, name) for name in others]
    params = "" if row.params is None else f"{row.params:,}"
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    return [rank, *options, mean, row.count, *values, params, seconds]


def value_of(metrics: dict[str, float | None], name: str) -> str:
    """Format a metric, "" if there is none of that name."""
    return number(metrics[name]) if name in metrics else ""


def _failures(board: Board) -> list[str]:
    """Describe each variant that has jobs without a rank in a line, with the first job's reason."""
    groups: dict[tuple, list[Job]] = {}
    for job in board.unranked:
        options = {key: job.options.get(key, "") for key in board.options}
        groups.setdefault((job.status, board.label(options)), []).append(job)
    lines = []
    for (status, name), jobs in groups.items():
        reason = jobs[0].reason if len(jobs[0].reason) < 120 else jobs[0].reason[:117] + "..."
        lines.append(f"{status}: {name}" + f", {len(jobs)} jobs" * (len(jobs) > 1) + f" ({reason})" * bool(reason))
    return lines


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
