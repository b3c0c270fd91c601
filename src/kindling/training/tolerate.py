"""What a run can do without: a failure there is one line of warning, and no reason to lose a result."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kindling import UserError

log = logging.getLogger("kindling")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Log an exception as one line that says what is missing and why, and go on behind the block."""
    try:
        yield
    except Exception as error:
        log.warning(f"{what}: left out, {reason(error)}")
        log.debug("its traceback", exc_info=True)


def reason(error: Exception) -> str:
    """Return an exception's message on one line, after its type where it is not a sentence for the user."""
    message, kind = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, UserError):
        return message
    return f"{kind}: {message[:300]}" if message else kind
