"""No command runs a program that somebody has put into a checkpoint, unless it is told to trust it."""

import json

import pytest
import torch
from conftest import compose_config
from omegaconf import OmegaConf
from stock_modules import Evil
from sweep_helpers import trained_together

from kindling import UserError
from kindling.ensemble import ensemble
from kindling.evaluate import evaluate
from kindling.pictures.folder import draw
from kindling.saved import load

SMALL = ["data=blobs", "epochs=2", "depth=1", "width=4"]
REFUSAL = r"holds more than plain data \(.*open\), so opening it could run any program. .* add trust=true"


@pytest.fixture
def trained(run, tmp_path):
    """A run's folder as the command line leaves it, with weights but no test metrics yet."""
    run(*SMALL, "test=false")
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir()
    OmegaConf.save(compose_config(*SMALL, "trainer=cpu", f"folder={folder}"), folder / ".hydra/config.yaml")
    OmegaConf.save(OmegaConf.create(SMALL), folder / ".hydra/overrides.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}), folder / ".hydra/hydra.yaml")
    return folder


def poison(checkpoint, place):
    """Put a program into a checkpoint; it has run if the returned file is there."""
    witness = checkpoint.with_name("witness")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, place: Evil(witness)}, checkpoint)
    return witness


def resume(folder, *overrides):
    import train

    words = [f"resume={folder}", *overrides]
    train.train(compose_config(*words, f"folder={folder}"), words)


def refuses(witness, command, *arguments):
    with pytest.raises(UserError, match=REFUSAL):
        command(*arguments)
    assert not witness.exists()


def test_resume_does_not_run_what_last_ckpt_holds(trained):
    before = (trained / "result.json").read_text()
    refuses(poison(trained / "checkpoints/last.ckpt", "hyper_parameters"), resume, trained, "epochs=3")
    assert (trained / "result.json").read_text() == before


def test_a_resumed_run_does_not_run_what_best_ckpt_holds_when_it_is_tested(trained, monkeypatch):
    witness = poison(trained / "checkpoints/best.ckpt", "program")
    monkeypatch.setattr("kindling.checkpoints.BestAndLast.on_train_end", lambda *_: None)  # would write it anew
    refuses(witness, resume, trained)


def test_evaluate_does_not(trained):
    refuses(poison(trained / "checkpoints/best.ckpt", "program"), evaluate, trained)


def test_pictures_do_not(trained):
    refuses(poison(trained / "checkpoints/best.ckpt", "program"), draw, trained)


def test_ensemble_does_not(tmp_path):
    jobs = trained_together(tmp_path, [[*SMALL, f"seed={seed}"] for seed in (0, 1)])
    refuses(poison(jobs[0].folder / "checkpoints/best.ckpt", "program"), ensemble, tmp_path)


def test_a_continued_sweep_does_not_run_what_its_groups_checkpoint_holds(tmp_path, monkeypatch):
    from kindling.sweep import group

    batch = [[*SMALL, f"seed={seed}"] for seed in (0, 1)]

    def stops(self, trainer, whole=group.Keep.save):
        whole(self, trainer)
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(group.Keep, "save", stops)
        with pytest.raises(RuntimeError, match="stopped"):
            trained_together(tmp_path, batch)
    (checkpoint,) = (tmp_path / "groups").glob("*.ckpt")
    witness = poison(checkpoint, "program")
    with pytest.raises(UserError, match=REFUSAL):
        trained_together(tmp_path, batch)
    assert not witness.exists()


@pytest.mark.parametrize(("command", "loads"), [(evaluate, "test/accuracy"), (draw, None)])
def test_with_trust_the_same_checkpoint_is_opened(trained, command, loads):
    witness = poison(trained / "checkpoints/best.ckpt", "program")
    found = command(trained, trust=True)
    assert witness.exists()
    assert loads is None or loads in found


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
    with pytest.raises(UserError, match=r"Checkpoints of KeepsObject would keep .*Recipe.*trust=true.*ignore="):
        keeps_object()
    assert not list((tmp_path / "run/checkpoints").iterdir())
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 0


def test_with_trust_it_is_trained_and_tested(keeps_object):
    assert "test_loss" in keeps_object("trust=true")["metrics"]
