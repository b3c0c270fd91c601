"""`python -m kindling.report run=<run folder or sweep folder>`"""

from kindling import entry

if __name__ == "__main__":
    entry.begin()

import json
import sys
from pathlib import Path

from kindling import UserError, cli
from kindling.leaderboard.jobs import read_jobs
from kindling.result import write_whole

USAGE = "python -m kindling.report run=<run folder or sweep folder>"


def write_report(folder: Path) -> Path:
    """Write report.html into the folder, with all pictures inside; a report that is there is replaced.

    Raises:
        UserError: it is the folder of neither a run that has ended nor a sweep.
    """
    if (folder / ".hydra" / "config.yaml").is_file():
        if not (folder / "result.json").is_file():
            raise UserError(f"{folder} has no result.json: the run is not over, or was killed (resume={folder}).")
        from kindling.report.run import run_page  # torch, 3 s, so not before a refusal

        try:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{folder / 'result.json'} cannot be read: {error}") from error
        content = run_page(folder, result)
    else:
        read_jobs(folder)
        from kindling.report.sweep import sweep_page

        content = sweep_page(folder)
    write_whole(folder / "report.html", content)
    return folder / "report.html"


def main() -> None:
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        sys.exit(print(USAGE))
    with cli.plain_errors():
        if len(words) != 1 or not words[0].startswith("run=") or words[0] == "run=":
            raise UserError(f"{' '.join(words) or 'nothing'} was typed, wanted is: {USAGE}")
        print(write_report(Path(words[0].removeprefix("run="))))


if __name__ == "__main__":
    main()
