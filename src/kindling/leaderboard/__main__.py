"""`python -m kindling.leaderboard <sweep folder>`"""

from kindling import entry

if __name__ == "__main__":
    entry.begin()

import argparse
import sys
from pathlib import Path

from kindling import UserError
from kindling.leaderboard import make_board


def main() -> None:
    parser = argparse.ArgumentParser(f"python -m {__package__}", description="Rank the jobs of a sweep.")
    parser.add_argument("folder", type=Path, help="of the sweep, e.g. runs/sweeps/<name>")
    try:
        make_board(parser.parse_args().folder)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
