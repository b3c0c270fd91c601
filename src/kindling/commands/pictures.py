"""Draw the missing pictures of a run, or all activations with their derivatives.

With columns=<one>,<other> the surface is drawn over these two columns of a table.
"""

from pathlib import Path

from kindling import UserError
from kindling.activations import ACTIVATIONS
from kindling.cli.arguments import parse
from kindling.files import write_atomically

USAGE = "python -m kindling pictures run=<run folder> [columns=<one>,<other>] [trust=true], or: activations"


def main(args: list[str]) -> None:
    drawn = [_activations(Path("activations.png"))] if args == ["activations"] else _run(parse(args, USAGE))
    print("\n".join(map(str, drawn)) or "all pictures exist already")


def _run(given: dict[str, str]) -> list[Path]:
    one, comma, other = given.get("columns", "").partition(",")
    if "columns" in given and (not comma or "," in other):
        raise UserError(f"columns={given['columns']} does not name two columns: write columns=<one>,<other>.")
    from kindling.plots.run_folder import draw  # torch

    return draw(Path(given["run"]), (one, other) if comma else None, given.get("trust") == "true")


def _activations(file: Path) -> Path:
    from kindling.plots.activations import draw_activations
    from kindling.plots.save import png
    from kindling.plots.style import style

    with style():
        write_atomically(file, png(draw_activations(list(ACTIVATIONS))))
    return file
