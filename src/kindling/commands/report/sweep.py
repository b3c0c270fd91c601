"""The report of a sweep."""

from pathlib import Path

from kindling.commands.report.page import code, image, lines, page, paragraph, section, table
from kindling.commands.report.run import confusion, pictures
from kindling.sweeps.leaderboard.board import Board
from kindling.sweeps.leaderboard.make import make_board
from kindling.sweeps.leaderboard.write import cells, header, ranked, sentences
from kindling.training.result import number

MAX_ROWS = 100


def sweep_page(folder: Path) -> str:
    """Rank the jobs again, because more may have finished, and return the report.

    Raises:
        UserError: the folder has no jobs.
    """
    board = make_board(folder)
    effects, others = folder / "effects.png", board.others
    rows = [cells(board, rank, row, others=others) for rank, row in ranked(board)]
    cut = len(rows) - MAX_ROWS
    return page(
        folder.resolve().name,
        paragraph(_summary(board)),
        lines(sentences(board)),
        section(
            "Leaderboard",
            table([header(board, others), *rows[:MAX_ROWS]]),
            paragraph(f"{cut} more in leaderboard.csv.") if cut > 0 else "",
        ),
        section("Effects", image(effects, "The effect of each option on the score.") if effects.exists() else ""),
        section("Winner", *_winner(board)),
        section("Without a rank", _unranked(board)),
    )


def _summary(board: Board) -> str:
    compared = f"The sweep compared {len(board.jobs)} jobs by {board.metric} on the validation samples"
    if not board.rows:
        return f"{compared}, but none of them has a score."
    better, first = "higher" if board.mode == "max" else "lower", board.rows[0]
    best = f"the best of {len(board.rows)} variants is {board.label(first.options)} with {number(first.mean)}"
    if len(board.rows) > 1:
        second = board.rows[1]
        best += f", followed by {board.label(second.options)} with {number(second.mean)}"
    return f"{compared} ({better} is better): {best}."


def _winner(board: Board) -> list[str]:
    if not board.rows:
        return []
    job = board.rows[0].best_job(board.mode)
    command, advice = job.result.get("command", ""), job.result.get("advice", [])
    return [code(command), lines(advice), *confusion(job.folder), *pictures(job.folder)]


def _unranked(board: Board) -> str:
    jobs = [[job.folder.name, job.status, job.reason] for job in board.unranked[:MAX_ROWS]]
    return table([["job", "status", "reason"], *jobs]) if jobs else ""
