"""Workers that outlive a killed sweep."""

import os
import threading
import time

import pytest

from kindling.sweeps.folder import LOG, SweepFolder
from kindling.training.lock import lock


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_sweep_waits_for_the_workers_of_a_killed_one(tmp_path, caplog):
    caplog.set_level("INFO", logger="kindling")
    orphans = [(tmp_path / LOG).open("a") for _ in range(2)]  # two workers share the lock
    assert all(lock(orphan, shared=True) for orphan in orphans)
    waiting = threading.Thread(target=SweepFolder, args=(tmp_path,), daemon=True)
    waiting.start()
    for orphan in orphans:
        time.sleep(0.1)
        assert waiting.is_alive()
        orphan.close()
    waiting.join(10)
    assert not waiting.is_alive()
    why = "waiting until the workers of the killed sweep have saved their state"
    assert caplog.messages == [f"{why} ({tmp_path / LOG} is locked)"]


def test_without_workers_a_sweep_does_not_wait(tmp_path, caplog):
    caplog.set_level("INFO", logger="kindling")
    for _ in range(2):  # without and with a log
        with SweepFolder(tmp_path):
            (tmp_path / LOG).touch()
    assert not caplog.text
