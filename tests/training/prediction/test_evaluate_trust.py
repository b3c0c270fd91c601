"""Evaluating a run does not execute code in its checkpoint, unless it is trusted."""

import pytest
from omegaconf import OmegaConf
from trust_helpers import linked, poison, rejects, trained

from kindling import UserError
from kindling.training.prediction.evaluate import evaluate

__all__ = ["trained"]


def test_evaluate_does_not_execute_code_in_best_ckpt(trained):
    rejects(poison(trained / "checkpoints/best.ckpt"), evaluate, trained)


def test_the_same_checkpoint_is_loaded_with_trust(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert "test/accuracy" in evaluate(trained, trust=True)
    assert witness.exists()


def test_evaluate_executes_nothing_that_the_config_names(trained, tmp_path):
    config, witness = trained / ".hydra" / "config.yaml", tmp_path / "witness"
    cfg = OmegaConf.load(config)
    cfg.data = {"_target_": "os.system", "command": f"touch {witness}"}
    cfg.trust = True
    OmegaConf.save(cfg, config)
    with pytest.raises(UserError, match=r"would call os\.system"):
        evaluate(trained)
    assert not witness.exists()


def test_evaluate_does_not_write_through_a_link(trained):
    victim = linked(trained, "result.json.part")
    with pytest.raises(UserError, match="is a link to"):
        evaluate(trained)
    assert victim.read_text() == "untouched"
