"""What the data sets of a sweep's jobs have in common is printed once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kindling

log = logging.getLogger("kindling")
DATA = Path(kindling.__file__).parent / "data"
SAID: set[str] = set()  # messages of data sets in this process


@contextmanager
def said_once() -> Iterator[None]:
    """Drop messages of data sets that were printed before in such a block; warnings are kept."""

    def is_new(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING or not Path(record.pathname).is_relative_to(DATA):
            return True
        message = record.getMessage()
        repeated = message in SAID
        SAID.add(message)
        return not repeated

    log.addFilter(is_new)
    try:
        yield
    finally:
        log.removeFilter(is_new)
