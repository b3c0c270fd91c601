"""Measure the size of the project.

    python tests/benchmarks/structure.py

It counts entries of the package; statements without docstrings, in total and in the core that `strip all` leaves; files
and lines of files in which a function is called until the first optimizer step of a run without optional callbacks; and
lines with hasattr, getattr or setattr.
"""

import ast
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CODE = re.compile(r"\b(has|get|set)attr\b")


def statements(files) -> int:
    """Return the number of statements without docstrings."""
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return sum(isinstance(node, ast.stmt) and not _is_docstring(node) for node in nodes)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def python_files(project: Path) -> list[Path]:
    return [*(project / "src").rglob("*.py"), project / "train.py"]


def stripped() -> int:
    """Return the number of statements that `strip all` leaves."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for path in filter(lambda path: (PROJECT / path).is_file(), listed.stdout.splitlines()):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes((PROJECT / path).read_bytes())
        code = f"import sys; sys.path.insert(0, {str(copy / 'src')!r}); from kindling.commands.strip import command; "
        code += "from pathlib import Path; command.strip_all(Path.cwd())"
        subprocess.run([sys.executable, "-c", code], cwd=copy, check=True)
        return statements(python_files(copy))


def entered() -> dict[Path, int]:
    """Return the files in which a function is called until the first optimizer step, with their number of lines."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    found: set[Path] = set()

    def note(frame, event, _) -> None:
        file = frame.f_code.co_filename
        # not a module, class body or comprehension
        is_function = frame.f_code.co_flags & 2 and frame.f_code.co_name[0] != "<"
        if event == "call" and is_function and file.startswith((str(PROJECT / "src"), str(PROJECT / "train.py"))):
            found.add(Path(file))

    def stop(*_) -> None:
        sys.setprofile(None)
        raise KeyboardInterrupt

    register_optimizer_step_pre_hook(stop)
    core = ("stop_diverged", "records", "checkpoints")
    config = (PROJECT / "conf" / "config.yaml").read_text(encoding="utf-8")
    names = re.findall(r"^  (\w+): \{_target_: kindling\.(?:callbacks|training)", config, re.MULTILINE)
    off = [f"callbacks.{name}=null" for name in names if name not in core]
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [str(PROJECT / "train.py"), *off, "trainer=cpu", f"hydra.run.dir={folder}/run"]
        sys.setprofile(note)
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit:
            sys.setprofile(None)
    return {file: len(file.read_text(encoding="utf-8").splitlines()) for file in found}


def main() -> None:
    package = PROJECT / "src" / "kindling"
    asked = sum(bool(CODE.search(line)) for file in python_files(PROJECT) for line in file.open(encoding="utf-8"))
    print(f"entries of src/kindling           {len([p for p in package.iterdir() if p.name != '__pycache__']):>6}")
    print(f"statements                        {statements(python_files(PROJECT)):>6,}")
    print(f"statements after strip all        {stripped():>6,}")
    print(f"hasattr, getattr, setattr, lines  {asked:>6}")
    files = entered()
    print(f"files until the first step        {len(files):>6}")
    print(f"their lines                       {sum(files.values()):>6,}")


if __name__ == "__main__":
    main()
