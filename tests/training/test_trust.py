"""No command runs a program that somebody has put into a checkpoint, unless it is told to trust it."""

import json

import pytest
from conftest import compose_config
from trust_helpers import poison, refuses, trained

from kindling import UserError
from kindling.training.load import load

__all__ = ["trained"]


def resume(folder, *overrides):
    import train

    words = [f"resume={folder}", *overrides]
    train.train(compose_config(*words, f"folder={folder}"), words)


def test_resume_does_not_run_what_last_ckpt_holds(trained):
    before = (trained / "result.json").read_text()
    refuses(poison(trained / "checkpoints/last.ckpt", "hyper_parameters"), resume, trained, "epochs=3")
    assert (trained / "result.json").read_text() == before


def test_a_resumed_run_does_not_run_what_best_ckpt_holds_when_it_is_tested(trained, monkeypatch):
    witness = poison(trained / "checkpoints/best.ckpt", "program")
    monkeypatch.setattr("kindling.training.checkpoint.BestAndLast.on_train_end", lambda *_: None)  # would write it anew
    refuses(witness, resume, trained)


def test_a_damaged_checkpoint_is_a_sentence_too(tmp_path):
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"cut.ckpt cannot be read: "):
        load(tmp_path / "cut.ckpt")


@pytest.fixture
def keeps_object(run, tmp_path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/stock.yaml").write_text("_target_: stock_modules.KeepsObject\n")
    place = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    return lambda *overrides: run(place, "data=blobs", "model=stock", "epochs=2", *overrides)


def test_a_module_that_keeps_more_than_plain_data_is_refused_before_training(keeps_object, tmp_path):
    with pytest.raises(UserError, match=r"Checkpoints of KeepsObject would hold .*Recipe.*ignore=.*trust=true"):
        keeps_object()
    assert not list((tmp_path / "run/checkpoints").iterdir())
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 0


def test_with_trust_it_is_trained_and_tested(keeps_object):
    assert "test_loss" in keeps_object("trust=true")["metrics"]
