"""The workers of a killed sweep, which save their state before they end. Does not import torch."""

import logging
from pathlib import Path

from kindling.training.lock import lock

log = logging.getLogger("kindling")


def wait_for_orphans(workers_log: Path) -> None:
    """Wait until no worker has a lock on its log, which need not exist."""
    if not workers_log.exists():
        return
    with workers_log.open("a", encoding="utf-8") as file:
        if not lock(file):
            log.info(f"waiting until the workers of the killed sweep have saved their state ({workers_log} is locked)")
            lock(file, wait=True)
