"""Commands restore or report damaged files of a real run folder: a few cases of tests/benchmarks/damage.py."""

import subprocess
import sys

import pytest
from conftest import PROJECT, needs

WORDS = ["table", "deleted", "flipped", "predict", "report", "best.ckpt", "metrics.csv", "result.json"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the benchmark forks")
@needs("commands/predict.py")
@needs("commands/report")
@needs("callbacks/pictures.py")
def test_damaged_files_are_restored_or_reported():
    command = [sys.executable, str(PROJECT / "tests" / "benchmarks" / "damage.py"), *WORDS]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (totals,) = [line.split() for line in done.stdout.splitlines() if line.split()[1:2] == ["cases"]]
    same, named, sentence, bad = map(int, totals[2:])
    assert (same, named, sentence, bad) == (8, 0, 2, 0)  # only a report needs result.json, which cannot be restored
