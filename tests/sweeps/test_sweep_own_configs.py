"""Sweeps with configs from the user's folder, trained together and in processes."""

import json

import pytest
from conftest import PLAIN

ARGS = ["data=mine", "epochs=1", *PLAIN, "seed=0,1,2,3", "sweep.name=s"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "own" / "data").mkdir(parents=True)
    (tmp_path / "own" / "data" / "mine.yaml").write_text("_target_: kindling.data.synthetic.Blobs\nsplit_seed: 3\n")
    return f"hydra.searchpath=[file://{tmp_path / 'own'}]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "own", [["hydra.launcher.workers=2", "steps_per_execution=1"], []], ids=["in processes", "together"]
)
def test_jobs_are_trained_and_their_commands_contain_the_search_path(shell, tmp_path, place, own):
    shell("train.py", "-m", place, *ARGS, *own, check=True)
    results = [json.loads(file.read_text()) for file in (tmp_path / "runs/sweeps/s").glob("*/result.json")]
    assert [result["status"] for result in results] == ["finished"] * 4
    assert all(f"train.py {place} " in result["command"].replace("'", "") for result in results)
