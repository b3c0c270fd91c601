"""Code that a group of members does not run but repeats. Where you have changed it, jobs train one by one.

`python -m kindling.sweeps.grouped.known` writes known.json anew: do that when the group's code does what yours does.
"""

import ast
import hashlib
import json
import sys
from functools import cache
from pathlib import Path

from kindling.files import PACKAGE

FILE = Path(__file__).with_name("known.json")
REPEATED = (
    *(
        "training/checkpoint.py",
        "training/metrics_csv.py",
        "training/run.py",
        "training/divergence.py",
        "training/stopping.py",
    ),
    *("callbacks/confusion_matrix.py", "callbacks/regularization.py", "callbacks/lr_schedule.py"),
    *("data/base.py", "data/loader.py", "models/base.py", "models/multi_step.py", "models/linear.py", "models/mlp.py"),
    "models/activation_modules.py",
)


@cache
def changed(script: Path) -> list[str]:
    """Which of the repeated files, and `script` (train.py), are not those that the group's code was written for."""
    known = json.loads(FILE.read_text(encoding="utf-8"))
    return [name for name, digest in fingerprints(script).items() if known.get(name) != digest]


def fingerprints(script: Path) -> dict[str, str]:
    """Name -> hash of the code, without comments and layout; the package's name does not matter. A file may be gone."""
    files = {"train.py": script, **{name: PACKAGE / name for name in REPEATED}}
    return {name: _fingerprint(path) for name, path in files.items() if path.exists()}


def _fingerprint(path: Path) -> str:
    text = _text(ast.parse(path.read_text(encoding="utf-8")))
    return hashlib.sha256(text.replace(PACKAGE.name, "this package").encode()).hexdigest()[:16]


def _text(node: object) -> str:
    """Return the tree as text, without empty fields: `ast.dump` differs between Python versions, and so do those."""
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [f"{name}={_text(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
    return f"{type(node).__name__}({', '.join(fields)})"


if __name__ == "__main__":
    train = Path.cwd() / "train.py"
    if not train.exists():
        sys.exit(f"There is no train.py in {Path.cwd()}: go to the project's folder first.")
    FILE.write_text(json.dumps(fingerprints(train), indent=2) + "\n", encoding="utf-8")
    print(f"{FILE.name} has {len(fingerprints(train))} files")
