"""`python -m kindling <command>`; without a command it lists them."""

import ast
import importlib
import logging
import sys
from pathlib import Path

from kindling.cli import entry

COMMANDS = Path(__file__).parent / "commands"


def commands() -> dict[str, str]:
    """Return name -> what it does, from the first line of each command's docstring."""
    files = {file.stem: file for file in COMMANDS.glob("[!_]*.py")}
    files |= {file.parent.name: file for file in COMMANDS.glob("*/command.py")}
    docs = {name: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for name, file in files.items()}
    return {name: docs[name].partition("\n")[0] for name in sorted(docs)}


def main(words: list[str]) -> None:
    """Run a command; exit with code 2 where there is none of that name, or it refuses what it was given."""
    name, known = words[0].replace("-", "_") if words else "--help", commands()
    if name in ("__help", "_h", "--help"):
        print("python -m kindling <command> ...\n")
        print("\n".join(f"  {name:15} {what}" for name, what in known.items()))
        print("\npython -m kindling <command> --help says more of one.")
        return
    if name not in known:
        print(f"{words[0]} is no command. Commands: {', '.join(known)}.", file=sys.stderr)
        sys.exit(2)
    inner = ".command" if (COMMANDS / name).is_dir() else ""
    command = importlib.import_module(f"kindling.commands.{name}{inner}")
    if {"--help", "-h"} & set(words[1:]):
        print(f"{command.USAGE}\n\n{command.__doc__.strip()}")
        return
    from kindling.cli.errors import plain_errors  # hydra

    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("kindling").setLevel(logging.INFO)
    with plain_errors():
        command.main(words[1:])


if __name__ == "__main__":
    entry.begin()
    main(sys.argv[1:])
