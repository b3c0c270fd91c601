"""What a run can do without: a failure there is one line of warning, and no reason to lose a result."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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
    """Return an exception's type and message on one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:300]}" if message else type(error).__name__
