"""A tiny data set, and a run in this process: what `python train.py ...` does after Hydra has composed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

torch.set_num_threads(1)  # small nets; two threads on busy cores wait for each other (kindling/device.py)
PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))


def compose_config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.fixture
def run(tmp_path):
    """run("data=ring", ..., folder="a") trains in tmp_path/a and returns its result.json."""
    import train

    def train_here(*overrides: str, folder: str = "run") -> dict:
        words = [*overrides, "trainer=cpu"]
        train.train(compose_config(*words, f"folder={tmp_path / folder}"), words)
        return json.loads((tmp_path / folder / "result.json").read_text())

    return train_here


@pytest.fixture
def table(tmp_path):
    """A CSV of 60 rows that a line separates, for the command line: words to put behind train.py."""
    rows = ["a,b,label"] + [f"{i % 7 - 3},{i % 5 - 2},{int(2 * (i % 7 - 3) + i % 5 - 2 > 0)}" for i in range(60)]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(rows) + "\n")
    no_gaps = "data.zero_is_missing=[]"
    return ["data=diabetes", f"data.path={path}", "data.target=label", no_gaps, "data.class_names=null", "trainer=cpu"]


@pytest.fixture
def shell(tmp_path):
    """shell("train.py", "epochs=1") runs Python in tmp_path and returns the finished process."""

    def call(script: str, *words: str, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, str(PROJECT / script), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, **options)

    return call
