"""`python -m kindling.pictures run=<folder> [columns=one,other]`, or `python -m kindling.pictures activations`."""

from kindling import entry

if __name__ == "__main__":
    entry.begin()

import sys
from pathlib import Path

from kindling import UserError, cli

USAGE = (
    "python -m kindling.pictures run=<run folder> [columns=<one>,<other>] [trust=true], "
    "or python -m kindling.pictures activations"
)


def main() -> None:
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        sys.exit(print(USAGE))
    with cli.plain_errors():
        if words == ["activations"]:
            drawn = [_activations(Path("activations.png"))]
        else:
            given = dict(word.split("=", 1) for word in words if "=" in word)
            trust = given.pop("trust", "false")
            words = [word for word in words if not word.startswith("trust=")]
            columns = tuple(given.get("columns", "").split(",")) if "columns" in given else None
            wrong = trust not in ("true", "false")
            if wrong or set(given) - {"columns"} != {"run"} or len(given) != len(words) or len(columns or "ab") != 2:
                raise UserError(f"{' '.join(words) or 'nothing'} was typed, wanted is: {USAGE}")
            from kindling.pictures.folder import draw

            drawn = draw(Path(given["run"]), columns, trust == "true")
    print("\n".join(map(str, drawn)) or "every picture is there")


def _activations(file: Path) -> Path:
    from kindling.activations import ACTIVATIONS
    from kindling.look import style
    from kindling.pictures.activations import draw_activations
    from kindling.records import png

    with style():
        file.write_bytes(png(draw_activations(list(ACTIVATIONS))))
    return file


if __name__ == "__main__":
    main()
