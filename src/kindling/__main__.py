"""`python -m kindling <command>`; without a command it lists them."""

import ast
import importlib
import logging
import sys
from pathlib import Path

from kindling.cli import entry

COMMANDS = Path(__file__).parent / "commands"


def commands() -> dict[str, str]:
    """Return name -> the first line of the docstring, for each command."""
    files = {file.stem: file for file in COMMANDS.glob("[!_]*.py")}
    files |= {file.parent.name: file for file in COMMANDS.glob("*/command.py")}
    docs = {name: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for name, file in files.items()}
    return {name: (docs[name] or "").partition("\n")[0] for name in sorted(docs)}


def main(args: list[str]) -> None:
    """Run a command; exit with code 2 if there is no such command or it rejects its arguments."""
    name, known = args[0].replace("-", "_") if args else "--help", commands()
    if name in ("__help", "_h", "--help"):
        print("python -m kindling <command> ...\n")
        print("\n".join(f"  {name:15} {summary}" for name, summary in known.items()))
        print("\npython -m kindling <command> --help describes one command.")
        return
    if name not in known:
        print(f"{args[0]} is not a command. Commands: {', '.join(known)}.", file=sys.stderr)
        sys.exit(2)
    inner = ".command" if (COMMANDS / name).is_dir() else ""
    command = importlib.import_module(f"kindling.commands.{name}{inner}")
    if {"--help", "-h"} & set(args[1:]):
        print(f"{command.USAGE}\n\n{(command.__doc__ or '').strip()}")
        return
    from kindling.cli.errors import plain_errors  # imports hydra

    logging.basicConfig(format="%(message)s", stream=sys.stderr if "--json" in args else sys.stdout)
    logging.getLogger("kindling").setLevel(logging.INFO)
    with plain_errors():
        command.main(args[1:])


if __name__ == "__main__":
    entry.begin()
    main(sys.argv[1:])
