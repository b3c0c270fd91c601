"""Drawing a run does not execute anything in its checkpoint, unless it is trusted."""

from trust_helpers import poison, rejects, trained

from kindling.plots.run_folder import draw

__all__ = ["trained"]


def test_pictures_do_not_execute_the_contents_of_best_ckpt(trained):
    rejects(poison(trained / "checkpoints/best.ckpt"), draw, trained)


def test_a_trusted_checkpoint_is_drawn(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert draw(trained, trust=True)
    assert witness.exists()
