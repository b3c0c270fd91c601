"""Optional parts of a run: a failure is logged as a one-line warning instead of ending the run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from kindling import UserError
from kindling.cli import entry

log = logging.getLogger("kindling")


@contextmanager
def optional(what: str, interruptible: bool = False) -> Iterator[None]:
    """Log an exception in the block as one line with the reason, and continue after it.

    Args:
        what: the part that is skipped, for the message.
        interruptible: let signals end the block, which may take long and does not write to TensorBoard. Otherwise they
            wait for its end, because one that interrupts TensorBoard's writer can leave its queue locked.
    """
    with nullcontext() if interruptible else entry.deferred_signals():
        try:
            yield
        except Exception as error:
            log.warning(f"{what}: skipped, {reason(error)}")
            log.debug("traceback", exc_info=True)


def reason(error: Exception) -> str:
    """Return an exception's message on one line, after its type unless it is a UserError."""
    message, name = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, UserError):
        return message
    return f"{name}: {message[:300]}" if message else name
