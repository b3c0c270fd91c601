"""Find out which file imports which, by parsing."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from kindling.files import PACKAGE


class Code:
    """The Python files of a project with their imports, and the text of its configuration."""

    def __init__(self, project: Path):
        self.project, self.src = project, project / "src"
        files = [*self.src.rglob("*.py"), *project.glob("*.py")]
        self.imports = {file: set(_imported(file)) for file in files}
        texts = [*(project / "conf").rglob("*.yaml"), *self.src.rglob("*.yaml")]
        self.named = "\n".join(file.read_text(encoding="utf-8") for file in texts)

    def modules(self, paths: Iterable[Path]) -> list[str]:
        """Return the names of the modules and packages in these files and folders."""
        inside = [path for path in paths if path.is_relative_to(self.src)]
        files = [file for path in inside for file in ([path] if path.is_file() else path.rglob("*.py"))]
        names = {self._name(file) for file in [*inside, *files] if file != self.src}
        return sorted(name for name in names if not name.endswith("__"))

    def needed(self, doomed: list[Path]) -> tuple[str, str] | None:
        """Return a remaining file and a doomed module that it imports, or None."""
        modules = self.modules(doomed)
        for file, found in self._remaining(doomed):
            if name := next((name for name in modules if name in found), None):
                return file.relative_to(self.project).as_posix(), name
        return None

    def with_orphans(self, doomed: list[Path]) -> list[Path]:
        """Return the paths, and the package's modules that only they import and that no config names."""
        doomed = list(doomed)
        while found := self._orphans(doomed):
            doomed += found
        return doomed

    def _orphans(self, doomed: list[Path]) -> list[Path]:
        before = [found for file, found in self.imports.items() if _inside(file, doomed)]
        after = [found for _, found in self._remaining(doomed)]
        rest = [file for file, _ in self._remaining(doomed) if PACKAGE.name in file.parts and file.name[0] != "_"]
        used = {file: self._name(file) for file in rest if any(self._name(file) in found for found in before)}
        return [f for f, name in used.items() if f"{name}." not in self.named and not any(name in s for s in after)]

    def _remaining(self, doomed: list[Path]) -> Iterator[tuple[Path, set[str]]]:
        return ((file, found) for file, found in self.imports.items() if not _inside(file, doomed))

    def _name(self, path: Path) -> str:
        return ".".join(path.relative_to(self.src).with_suffix("").parts).removesuffix(".__init__")


def importers(files: Iterable[Path], modules: list[str]) -> list[Path]:
    """Return the files that import one of the modules."""
    return [file for file in files if set(_imported(file)) & set(modules)]


def _inside(file: Path, folders: list[Path]) -> bool:
    return any(file.is_relative_to(path) for path in folders)


def _imported(file: Path) -> Iterator[str]:
    """Yield every module and every name that the file imports, and the packages that contain them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
