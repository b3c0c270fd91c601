"""Evaluating a run does not execute code in its checkpoint, unless it is trusted."""

from trust_helpers import poison, rejects, trained

from kindling.training.evaluate import evaluate

__all__ = ["trained"]


def test_evaluate_does_not_execute_code_in_best_ckpt(trained):
    rejects(poison(trained / "checkpoints/best.ckpt"), evaluate, trained)


def test_the_same_checkpoint_is_loaded_with_trust(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert "test/accuracy" in evaluate(trained, trust=True)
    assert witness.exists()
