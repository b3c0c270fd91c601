"""A few kills of tests/benchmarks/chaos.py."""

import os
import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to a child")
def test_runs_that_are_killed_at_random_moments_and_resumed_equal_uninterrupted_ones():
    command = [sys.executable, str(PROJECT / "tests/benchmarks/chaos.py"), "1", "4", "dropout", "sweep of single jobs"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
