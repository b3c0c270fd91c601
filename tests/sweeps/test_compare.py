"""`python -m kindling leaderboard` with runs of any folders."""

import json

import pytest
from conftest import PACKAGE, PROJECT

SCRIPT = str(PACKAGE.relative_to(PROJECT) / "__main__.py")


@pytest.mark.slow
def test_runs_are_compared_by_the_options_in_which_they_differ(shell, tmp_path):
    runs = {
        "one": ["model=deep"],
        "two/inner": ["model=linear", "lr=0.1"],
        "lr=0.1_three": ["model=deep", "data.split_seed=1"],
    }
    for name, options in runs.items():
        shell("train.py", "epochs=2", f"hydra.run.dir='{name}'", *options, check=True)
    done = shell(SCRIPT, "leaderboard", *runs, "--json", check=True)
    records = {record["run"]: record for record in json.loads(done.stdout)}
    differing = [key for key in records["one"] if key not in ("run", "params", "epochs", "status", "score")]
    assert [key for key in differing if "/" not in key] == ["model", "lr", "data.split_seed"]
    assert [records[name]["model"] for name in runs] == ["deep", "linear", "deep"]
    assert [records[name]["data.split_seed"] for name in runs] == [0, 0, 1]
    for name in runs:
        metrics = json.loads((tmp_path / name / "result.json").read_text())["metrics"]
        assert records[name]["test/accuracy"] == metrics["test/accuracy"]
    scores = [record["score"] for record in json.loads(done.stdout)]
    assert scores == sorted(scores)  # the best first
    lines = shell(SCRIPT, "leaderboard", *runs, check=True).stdout.splitlines()
    assert lines[0].split()[:4] == ["run", "model", "lr", "data.split_seed"]
    assert {line.split()[0] for line in lines[1:4]} == set(runs)
    missing = shell(SCRIPT, "leaderboard", "one", "nowhere")
    assert (missing.returncode, "run=nowhere is not a run folder" in missing.stderr) == (2, True)
