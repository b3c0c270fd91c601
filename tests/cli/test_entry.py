"""Signals during the imports, closed and limited consoles, and an install without the project."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PROJECT

from kindling.cli.errors import plain_errors
from kindling.files import PACKAGE

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals and pipes")
# What a command does: configure the console, and write to it with print and logging.
WRITES = """
import logging, sys
from {package}.cli import entry
entry.begin()
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
for i in range(3):
    print("j\\xe4" * 5000)
    logging.info("gr\\xfc\\xdfe")
sys.stdout.flush()
print("continued", file=sys.stderr)
"""
# Runs the script argv[2], and pauses when the module argv[1] is imported.
PAUSE = """
import runpy, sys, time

class Pause:
    module = sys.argv[1]

    def find_spec(name, path=None, target=None):
        if name == Pause.module:
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Pause)
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# A process of a run with several, which fails when its first process has ended, or before that ("now"), or waits.
FAILS = """
import os, sys, time
sys.path.insert(0, {path!r})
from kindling.cli import entry
from kindling.cli.errors import plain_errors
entry.PATIENCE = 0.1
entry.begin()
print("started", flush=True)
while sys.argv[1] == "wait" or sys.argv[1] == "fail" and os.getppid() == entry.PARENT:
    time.sleep(0.01)
with plain_errors():
    raise RuntimeError("the connection is lost")
"""


def python(*arguments, cwd, **options):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, stderr=subprocess.PIPE, encoding="utf-8", timeout=120, **options)


@pytest.fixture
def broken():
    """Return the writing end of a pipe whose reading end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("module", ["hydra", "torch"])
def test_a_signal_during_the_imports_ends_with_one_line(tmp_path, number, code, module):
    (tmp_path / "pause.py").write_text(PAUSE)
    command = [sys.executable, "pause.py", module, str(PROJECT / "train.py"), "trainer=cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        assert (process.stderr.read(), process.wait(60)) == ("interrupted\n", code)


@posix
def test_a_command_is_silent_when_the_reader_has_closed_the_pipe(tmp_path, broken):
    for args in (["--help"], ["--cfg", "job"]):
        done = python(PROJECT / "train.py", *args, cwd=tmp_path, stdout=broken)
        assert (done.returncode, done.stderr) == (0, "")


@posix
def test_a_closed_pipe_does_not_end_a_running_program(tmp_path, broken):
    done = python("-c", WRITES.format(package=PACKAGE.name), cwd=tmp_path, stdout=broken)
    assert (done.returncode, done.stderr) == (0, "continued\n")


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_reported_once_and_does_not_end_the_program(tmp_path):
    with open("/dev/full", "wb") as full:
        done = python("-c", WRITES.format(package=PACKAGE.name), cwd=tmp_path, stdout=full)
    line = "The output could not be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (0, line + "continued\n")


@posix
def test_the_descriptor_of_a_closed_stdout_is_not_reused_for_a_file(tmp_path):
    code = WRITES.format(package=PACKAGE.name) + "open('file.txt', 'w').close()\nimport os; os.write(1, b'lost')"
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], cwd=tmp_path, timeout=60)
    assert (done.returncode, (tmp_path / "file.txt").read_bytes()) == (0, b"")


def test_a_character_that_the_console_cannot_encode_is_escaped(tmp_path):
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = python("-c", WRITES.format(package=PACKAGE.name), cwd=tmp_path, env=env, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "continued\n")
    assert r"j\xe4" in done.stdout
    assert r"gr\xfc\xdfe" in done.stdout


@pytest.mark.slow
@posix
def test_a_run_with_a_non_ascii_class_name_finishes_in_the_c_locale_without_a_reader(tmp_path, broken):
    rows = [f"{i % 7},{'jä' if i % 7 > 2 else 'no'}" for i in range(60)]
    (tmp_path / "town.csv").write_text("\n".join(["a,größe", *rows]) + "\n", encoding="utf-8")
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    args = ["data=csv", "data.path=town.csv", "trainer=cpu", "epochs=2", "logger=[csv,tensorboard]"]
    done = python(PROJECT / "train.py", *args, cwd=tmp_path, env=env, stdout=broken)
    assert (done.returncode, "Traceback" in done.stderr, "Logging error" in done.stderr) == (0, False, False)
    (folder,) = (tmp_path / "runs").glob("*/*")
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["status"] == "finished"
    assert "jä" in (folder / "train.log").read_text(encoding="utf-8")
    assert "jä" in (folder / "confusion_matrix.csv").read_text(encoding="utf-8")


def test_a_copy_without_the_project_explains_how_to_install_it(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "site-packages" / PACKAGE.name, ignore=ignored)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site-packages")}
    done = python("-m", PACKAGE.name, "rename", "x", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "install it in editable mode with `pip install -e .` in the project's folder" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "Out of memory: use a smaller model"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 6400 bytes. Error code 12"),
            "Out of memory (6400 bytes more were needed): use a smaller model (width, depth), batch_size, or data set.",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"),
            "(2.00 GiB more were needed)",
        ),
    ],
)
def test_running_out_of_memory_is_one_sentence(error, message, capsys):
    with pytest.raises(SystemExit, match=r"^2$"), plain_errors():
        raise error
    assert message in capsys.readouterr().err


@posix
@pytest.mark.parametrize("what", ["fail", "wait"])
def test_a_process_of_several_ends_with_one_line_after_the_first_has_ended(tmp_path, what):
    (tmp_path / "fails.py").write_text(FAILS.format(path=str(PACKAGE.parent)))
    second = f"subprocess.Popen([{sys.executable!r}, 'fails.py', {what!r}], stdout=subprocess.PIPE).stdout.readline()"
    environment = os.environ | {"LOCAL_RANK": "1"}
    done = python("-c", f"import subprocess; {second}", cwd=tmp_path, env=environment)  # until the second has ended
    assert done.stderr == "the first process of this run has ended, and so does this one\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_error_of_a_process_whose_first_process_is_alive_keeps_its_traceback(tmp_path, rank):
    (tmp_path / "fails.py").write_text(FAILS.format(path=str(PACKAGE.parent)))
    done = python("fails.py", "now", cwd=tmp_path, env=os.environ | {"LOCAL_RANK": rank})
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: the connection is lost\n")
