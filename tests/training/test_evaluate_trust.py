"""Evaluating a run does not run a program that its checkpoint holds, unless it is trusted."""

from trust_helpers import poison, refuses, trained

from kindling.training.evaluate import evaluate

__all__ = ["trained"]


def test_evaluate_does_not_run_what_best_ckpt_holds(trained):
    refuses(poison(trained / "checkpoints/best.ckpt"), evaluate, trained)


def test_with_trust_the_same_checkpoint_is_opened(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert "test/accuracy" in evaluate(trained, trust=True)
    assert witness.exists()
