"""Drawing a run does not execute anything in its checkpoint, unless it is trusted."""

import pytest
from trust_helpers import poison, rejects, trained

from kindling import UserError
from kindling.plots.run_folder import draw

__all__ = ["trained"]


def test_pictures_do_not_execute_the_contents_of_best_ckpt(trained):
    rejects(poison(trained / "checkpoints/best.ckpt"), draw, trained)


def test_a_trusted_checkpoint_is_drawn(trained):
    witness = poison(trained / "checkpoints/best.ckpt")
    assert draw(trained, trust=True)
    assert witness.exists()


def test_pictures_are_not_written_through_a_link(trained, tmp_path):
    (trained / "surface.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(UserError, match=r"surface\.png is a link to .*elsewhere\.png"):
        draw(trained)
    assert not (tmp_path / "elsewhere.png").exists()
