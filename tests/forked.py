"""Run programs in processes forked from one that has imported the libraries, which saves seconds per program.

The package itself is imported by each program, like in a normal run.
"""

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LIBRARIES = "hydra, matplotlib.figure, pandas, pytorch_lightning, tensorboard, torch.utils.tensorboard, torchmetrics"


class Forked:
    """A process to fork from; `run` is like subprocess.run of a Python script with captured output."""

    def __init__(self):
        command = [sys.executable, "-c", f"import {LIBRARIES}, forked; forked.serve()"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *_path(os.environ)])}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, script: Path, args: list[str], cwd: Path, env: dict[str, str] | None) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("stdout", "stderr")]
            request = {"argv": [str(script), *args], "cwd": str(cwd), "env": env or dict(os.environ), "files": files}
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            texts = [Path(file).read_text(encoding="utf-8") for file in files]
        return subprocess.CompletedProcess(request["argv"], code, *texts)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve() -> None:
    """Fork for every request, and reply with the exit code."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(argv: list[str], cwd: str, env: dict[str, str], files: list[str]) -> None:
    """Run the script as the main program, and exit."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.argv, sys.path[:0] = argv, [str(Path(argv[0]).parent), *_path(env)]
    exit_after(lambda: runpy.run_path(argv[0], run_name="__main__"))


def exit_after(program: Callable[[], object]) -> NoReturn:
    """Run a program in a forked process, and end it as Python ends."""
    code = 1
    try:
        program()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):  # like at the end of a program
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _path(env: dict[str, str]) -> list[str]:
    return [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
