"""What every command does before anything else: the console, Ctrl-C, and whether the project is there.

Imports nothing heavy, so that all of it holds while the libraries are being imported.
"""

import errno
import io
import os
import signal
import sys

from kindling.files import PACKAGE, PROJECT


def begin() -> None:
    """Prepare the process of a command; call it before hydra or torch is imported.

    Ctrl-C and SIGTERM end the process with one line and exit code 130 or 143.
    """
    open_console()
    require_project()
    # Waiting threads of torch spin for long, on a busy machine on the core that another of them needs. An epoch of
    # MNIST on 2 cores: 2.9 s with and without; next to one busy process 12 s in place of 113 s.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def hand_over() -> None:
    """From here on, let Ctrl-C and SIGTERM raise, because there is something to save; does nothing without `begin`."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminate)


def require_project() -> None:
    """Exit with code 2 where the package was copied out of its project, which has the configuration files."""
    if not (PROJECT / "conf").is_dir():
        print(
            f"{PACKAGE} is a copy without the project's conf/ and train.py, and only an editable "
            "install works: run `pip install -e .` in the project's folder.",
            file=sys.stderr,
        )
        sys.exit(2)


def open_console() -> None:
    """Make stdout and stderr streams that cannot end a run.

    A character that the encoding lacks is written as an escape, a closed stream is opened on the null device, and
    after the reader has gone (`| head`) or the disk is full the rest of the output is dropped.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = sys.__dict__[name]
        if stream is None:  # closed by the caller; the next file to be opened would take its number
            _mute(number)
            setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w" if number else "r", closefd=False), "utf-8"))
        elif number and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _tolerant(stream, number))


class _Console(io.FileIO):
    """The file of a console stream; what cannot be written is dropped."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            _mute(self.fileno())
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # the latter: a closed pipe on Windows
                os.write(2, f"The output could not be written: {error.strerror}.\n".encode())
            return len(data)


def _tolerant(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    if os.name == "nt" and stream.isatty():  # it has a file type of its own
        stream.reconfigure(errors="backslashreplace")
        return stream
    file = _Console(number, "w", closefd=False)
    return io.TextIOWrapper(
        file if stream.write_through else io.BufferedWriter(file),
        encoding=stream.encoding, errors="backslashreplace",
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip


def _mute(number: int) -> None:
    """Let a file descriptor lead to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def _leave(number: int, frame) -> None:
    # Nothing has been trained yet. An exception could be swallowed by a library that is just being imported.
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


def _terminate(number: int, frame) -> None:
    raise SystemExit(128 + number)
