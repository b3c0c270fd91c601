"""Damaged files of a run are restored from last.ckpt, or reported, and never read as if they were whole."""

import json
import logging

import pytest
import torch
from conftest import compose_config, rows_of
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.folders.resume import load_config
from kindling.files import BEST, LAST
from kindling.training.checkpoint_files import load, load_best
from kindling.training.metrics_file import read_metrics
from kindling.training.run_folder import config_of

SMALL = ["data=blobs", "data.num_test=100", "epochs=4", "depth=1", "width=4", "lr=0.1"]


@pytest.fixture
def folder(finished):
    return finished(*SMALL)


def flip(file, find: bytes):
    """Change a bit of the bytes in a file."""
    content = bytearray(file.read_bytes())
    content[content.index(find)] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return one == other


def test_a_flipped_bit_of_a_weight_is_noticed(folder):
    weight = load(folder / BEST)["state_dict"]["net.0.weight"]
    flip(folder / BEST, weight.numpy().tobytes())
    assert not torch.equal(torch.load(folder / BEST)["state_dict"]["net.0.weight"], weight)  # torch does not notice
    with pytest.raises(UserError, match=r"best.ckpt cannot be read \(the checksum of .* is wrong\)"):
        load(folder / BEST)


@pytest.mark.parametrize("damage", [cut, lambda file: file.unlink(), lambda file: file.write_bytes(bytes(100))])
def test_best_ckpt_is_restored_from_last_ckpt(folder, damage, caplog):
    whole = load(folder / BEST)
    damage(folder / BEST)
    with caplog.at_level(logging.WARNING, "kindling"):
        assert equal(load_best(folder), whole)
    assert equal(load(folder / BEST), whole)
    epoch = json.loads((folder / "result.json").read_text())["best_epoch"]
    assert f"was restored from last.ckpt, with the best epoch, {epoch}" in caplog.text


def test_the_test_metrics_of_a_restored_checkpoint_are_the_same(folder):
    evaluate = pytest.importorskip("kindling.training.prediction.evaluate", reason="evaluate is stripped").evaluate
    metrics = evaluate(folder)
    cut(folder / BEST)
    assert evaluate(folder) == metrics


def test_a_checkpoint_that_cannot_be_restored_is_reported(folder):
    cut(folder / BEST)
    state = torch.load(folder / LAST)
    torch.save({key: value for key, value in state.items() if key != "callbacks"}, folder / LAST)
    with pytest.raises(UserError, match=r"best.ckpt .* last.ckpt does not contain the best weights\): .*train.py"):
        load_best(folder)
    cut(folder / LAST)
    with pytest.raises(UserError, match=r"best.ckpt cannot .*, and last.ckpt, which would replace it: .*train.py"):
        load_best(folder)


@pytest.mark.parametrize(
    "text", ["", "epoch,step\n", "\0" * 40, "epoch,step,val/loss\n1,29,0.5\n3,58,0.4\n", "epoch,step,x\n1,29,low\n"]
)
def test_metrics_csv_is_restored_from_last_ckpt(folder, text):
    file, rows = folder / "metrics.csv", rows_of(folder)
    whole = file.read_bytes()
    assert read_metrics(folder) == rows
    file.write_text(text)
    assert read_metrics(folder) == rows
    assert file.read_bytes() == whole


def test_metrics_csv_that_cannot_be_restored_is_reported(folder):
    cut(folder / "metrics.csv")
    cut(folder / LAST)
    with pytest.raises(UserError, match=r"metrics.csv cannot be read .* and last.ckpt, which has its rows"):
        read_metrics(folder)


def test_a_last_ckpt_that_is_damaged_is_reported_when_the_run_is_resumed(folder):
    import train

    OmegaConf.save(compose_config(*SMALL, f"folder={folder}"), folder / ".hydra" / "config.yaml")
    (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
    (folder / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {choices: {}}}\n")
    cut(folder / LAST)
    args = [f"resume={folder}"]
    with pytest.raises(UserError, match=r"last.ckpt cannot be read .* evaluate and predict do not need it"):
        train.train(compose_config(*args, f"folder={folder}"), args)


@pytest.mark.parametrize("text", ["", "seed: 0\n", "data: blobs\nmodel: deep\n", "data: {_target_: 3}\n"])
def test_a_config_without_data_and_model_is_reported(folder, text):
    (folder / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        config_of(folder)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95])
def test_a_config_that_is_cut_off_is_reported_by_every_command(folder, share):
    file = folder / ".hydra" / "config.yaml"
    text = file.read_text().rstrip("\n")
    file.write_text(text[: int(share * len(text))].rstrip("\n"))
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        config_of(folder)
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        load_config(compose_config(f"resume={folder}", f"folder={folder}"), [f"resume={folder}"])
