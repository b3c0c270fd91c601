"""Set-up of a command's process: console streams, signal handlers, and a check that the project is present.

Imports nothing heavy, so that all of it is in effect while the libraries are being imported.
"""

import atexit
import errno
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from kindling.files import PACKAGE, PROJECT

SIGNALS = signal.SIGINT, signal.SIGTERM
PARENT = os.getppid()  # of the additional processes of a run with several (DDP): its first process
PATIENCE = 5.0  # s
ORPHANED = "the first process of this run has ended, and so does this one"


def begin() -> None:
    """Set up the process of a command; call it before importing hydra or torch.

    From then on, Ctrl-C and SIGTERM end the process with one line and exit code 130 or 143.
    """
    configure_console()
    require_project()
    # While they wait, torch's OpenMP threads spin for long, and on a busy machine occupy a core that others need.
    # An epoch of MNIST on 2 cores takes 2.9 s either way; next to one busy process, 12 s instead of 113 s.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    threading.excepthook = _report_thread_error
    logging.raiseExceptions = False  # no traceback for every line that a full disk has no room for
    for number in SIGNALS:
        signal.signal(number, _exit_immediately)
    atexit.register(ignore_signals)  # everything has been written
    if is_additional():
        threading.Thread(target=_end_with_the_first_process, daemon=True).start()


def raise_on_signals() -> None:
    """Make Ctrl-C and SIGTERM raise, once there is a state to save; does nothing unless `begin` was called."""
    if signal.getsignal(signal.SIGINT) is _exit_immediately:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminate)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM wait for the end of the block, e.g. while a result is written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = [signal.signal(number, lambda number, _: received.append(number)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def is_additional() -> bool:
    """Return whether the first process of a run with several (DDP) has started this one."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


def first_process_has_ended() -> bool:
    """Return whether this is an additional process of a run whose first process has ended, or soon does.

    The connection between them is closed a moment before. On Windows, which keeps the parent's number, it is False.
    """
    if not is_additional():
        return False
    deadline = time.monotonic() + PATIENCE
    while os.getppid() == PARENT and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getppid() != PARENT


def _end_with_the_first_process() -> None:
    """End this process some time after the first one, for whose connection torch would wait half an hour."""
    while os.getppid() == PARENT:
        time.sleep(0.5)
    time.sleep(PATIENCE)
    os.write(2, f"{ORPHANED}\n".encode())
    os._exit(1)


def require_project() -> None:
    """Exit with code 2 if the package was copied out of its project, which has the configuration files."""
    if not (PROJECT / "conf").is_dir():
        print(
            f"{PACKAGE} is installed without the project's conf/ and train.py, so it cannot run: install it in "
            "editable mode with `pip install -e .` in the project's folder.",
            file=sys.stderr,
        )
        sys.exit(2)


def configure_console() -> None:
    """Replace stdout and stderr by streams whose errors cannot end a run.

    A character that the encoding lacks is escaped, a closed stream is redirected to the null device, and output is
    dropped once the reader has closed the pipe (`| head`) or the disk is full.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = sys.__dict__[name]
        if stream is None:  # closed by the caller; the next open file would get its descriptor
            _mute(number)
            stream = io.TextIOWrapper(io.FileIO(number, "w" if number else "r", closefd=False), "utf-8")
        elif number and isinstance(stream, io.TextIOWrapper):
            stream = _tolerant(stream, number)
        setattr(sys, name, stream)


class _Console(io.FileIO):
    """File of a console stream that drops what cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            _mute(self.fileno())
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # the latter: a closed pipe on Windows
                os.write(2, f"The output could not be written: {error.strerror}.\n".encode())
            return memoryview(data).nbytes


def _tolerant(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    if os.name == "nt" and stream.isatty():  # a console is not a FileIO there
        stream.reconfigure(errors="backslashreplace")
        return stream
    file = _Console(number, "w", closefd=False)
    return io.TextIOWrapper(
        file if stream.write_through else io.BufferedWriter(file),
        encoding=stream.encoding, errors="backslashreplace",
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip


def _mute(number: int) -> None:
    """Redirect a file descriptor to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM while the process ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _exit_immediately(number: int, frame: FrameType | None) -> None:
    # Nothing has been trained yet, and a library that is being imported could swallow an exception.
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


def _report_thread_error(args: threading.ExceptHookArgs) -> None:
    """Print one line for a file error in TensorBoard's writer thread, because the run itself gets the error too."""
    if isinstance(args.exc_value, OSError):
        print(f"{type(args.exc_value).__name__}: {args.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(args)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
