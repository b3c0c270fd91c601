"""All imported packages are declared in pyproject.toml."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

from conftest import PACKAGE, PROJECT


def test_every_imported_package_is_declared():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(requirement for extra in project["optional-dependencies"].values() for requirement in extra),
    ]
    declared = {name.replace(">", "=").replace("!", "=").partition("=")[0].lower() for name in requirements}
    found = set()
    for file in (*(PROJECT / "src").rglob("*.py"), PROJECT / "train.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    found -= {*sys.stdlib_module_names, PACKAGE.name, "hydra_plugins"}
    named = packages_distributions()
    assert {"torch", "yaml"} <= found
    assert not [name for name in found if not {dist.lower() for dist in named.get(name, [name])} & declared]
