"""Write report.html, a self-contained file, into the folder of a run or a sweep."""

from pathlib import Path

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.cli.folders.read import read_result
from kindling.files import reject_links, write_atomically
from kindling.sweeps.leaderboard.jobs import read_jobs

# Keys of result.json.
SHOWN = ("metrics", "command", "seconds", "epochs", "best_epoch", "score", "monitor", "versions")
USAGE = "python -m kindling report run=<folder of a run or sweep>"


def write_report(folder: Path) -> Path:
    """Write report.html with embedded pictures into the folder, replacing an earlier one.

    Raises:
        UserError: the folder is neither that of a finished run nor that of a sweep.
    """
    reject_links(folder)
    if (folder / ".hydra" / "config.yaml").is_file():
        if not (folder / "result.json").is_file():
            raise UserError(f"{folder} has no result.json: the run is in progress, or was killed (resume={folder}).")
        from kindling.commands.report.run import run_page  # imports torch, which takes 3 s

        content = run_page(folder, read_result(folder, *SHOWN))
    else:
        read_jobs(folder)
        from kindling.commands.report.sweep import sweep_page

        content = sweep_page(folder)
    write_atomically(folder / "report.html", content)
    return folder / "report.html"


def main(args: list[str]) -> None:
    print(write_report(Path(parse(args, USAGE)["run"])))
