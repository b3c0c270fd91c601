"""Workers that outlive a killed sweep."""

import os
import threading
import time

import pytest

from kindling.sweeps import pool
from kindling.training.lock import lock


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_sweep_waits_for_the_workers_of_a_killed_one(tmp_path, caplog):
    caplog.set_level("INFO", logger="kindling")
    orphans = [(tmp_path / pool.LOG).open("a") for _ in range(2)]  # two workers share the lock
    assert all(lock(orphan, shared=True) for orphan in orphans)
    waiting = threading.Thread(target=pool.wait_for_orphans, args=(tmp_path / pool.LOG,), daemon=True)
    waiting.start()
    for orphan in orphans:
        time.sleep(0.1)
        assert waiting.is_alive()
        orphan.close()
    waiting.join(10)
    assert not waiting.is_alive()
    log = tmp_path / pool.LOG
    assert f"waiting until the workers of the killed sweep, which write to {log}, have saved" in caplog.text


def test_without_workers_a_sweep_does_not_wait(tmp_path, caplog):
    caplog.set_level("INFO", logger="kindling")
    pool.wait_for_orphans(tmp_path / pool.LOG)
    (tmp_path / pool.LOG).touch()
    pool.wait_for_orphans(tmp_path / pool.LOG)
    assert not caplog.text
