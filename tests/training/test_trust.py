"""No command executes code in a checkpoint unless trust=true is set."""

import json

import pytest
from conftest import compose_config
from trust_helpers import poison, rejects, trained

from kindling import UserError
from kindling.training.checkpoint_files import load

__all__ = ["trained"]


def resume(folder, *overrides):
    import train

    args = [f"resume={folder}", *overrides]
    train.train(compose_config(*args, f"folder={folder}"), args)


def test_resume_does_not_execute_code_in_last_ckpt(trained):
    before = (trained / "result.json").read_text()
    rejects(poison(trained / "checkpoints/last.ckpt", "hyper_parameters"), resume, trained, "epochs=3")
    assert (trained / "result.json").read_text() == before


def test_testing_a_resumed_run_does_not_execute_code_in_best_ckpt(trained, monkeypatch):
    witness = poison(trained / "checkpoints/best.ckpt", "program")
    monkeypatch.setattr(
        "kindling.training.checkpoint.BestAndLast.on_train_end", lambda *_: None
    )  # which would overwrite it
    rejects(witness, resume, trained)


def test_a_damaged_checkpoint_gives_a_plain_message(tmp_path):
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"cut.ckpt cannot be read \(it is cut off or no checkpoint\): "):
        load(tmp_path / "cut.ckpt")


@pytest.fixture
def keeps_object(run, tmp_path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/stock.yaml").write_text("_target_: stock_modules.KeepsObject\n")
    searchpath = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    return lambda *overrides: run(searchpath, "data=blobs", "model=stock", "epochs=2", *overrides)


def test_a_module_whose_checkpoints_are_not_plain_data_is_rejected_before_training(keeps_object, tmp_path):
    with pytest.raises(UserError, match=r"Checkpoints of KeepsObject would contain .*Recipe.*ignore=.*trust=true"):
        keeps_object()
    assert not list((tmp_path / "run/checkpoints").iterdir())
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 0


def test_such_a_module_is_trained_and_tested_with_trust(keeps_object):
    assert "test_loss" in keeps_object("trust=true")["metrics"]
