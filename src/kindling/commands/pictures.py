"""Draw the pictures of a run that it does not have yet, or every activation with its derivative.

With columns=<one>,<other> the surface is drawn over these two of a table's columns.
"""

from pathlib import Path

from kindling import UserError
from kindling.activations import ACTIVATIONS
from kindling.cli.arguments import parse

USAGE = "python -m kindling pictures run=<run folder> [columns=<one>,<other>] [trust=true], or: activations"


def main(words: list[str]) -> None:
    drawn = [_activations(Path("activations.png"))] if words == ["activations"] else _run(parse(words, USAGE))
    print("\n".join(map(str, drawn)) or "every picture is there")


def _run(given: dict[str, str]) -> list[Path]:
    columns = tuple(given["columns"].split(",")) if "columns" in given else None
    if columns and len(columns) != 2:
        raise UserError(f"columns={given['columns']} is not two columns: write columns=<one>,<other>.")
    from kindling.plots.run_folder import draw  # torch

    return draw(Path(given["run"]), columns, given.get("trust") == "true")


def _activations(file: Path) -> Path:
    from kindling.plots.activations import draw_activations
    from kindling.plots.save import png
    from kindling.plots.style import style

    with style():
        file.write_bytes(png(draw_activations(list(ACTIVATIONS))))
    return file
