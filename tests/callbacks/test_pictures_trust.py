"""Drawing a run does not run a program that its checkpoint holds, unless it is trusted."""

from trust_helpers import poison, refuses, trained

from kindling.plots.run_folder import draw

__all__ = ["trained"]


def test_pictures_do_not_run_what_best_ckpt_holds(trained):
    refuses(poison(trained / "checkpoints/best.ckpt"), draw, trained)


def test_with_trust_the_same_checkpoint_is_drawn(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert draw(trained, trust=True)
    assert witness.exists()
