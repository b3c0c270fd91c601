"""Exporting a run does not execute anything in its checkpoint."""

from trust_helpers import poison, rejects, trained

from kindling.commands.export import export

__all__ = ["trained"]


def test_export_does_not_execute_the_contents_of_best_ckpt(trained, tmp_path):
    rejects(poison(trained / "checkpoints/best.ckpt"), export, trained, tmp_path / "model.pt2", "pt2")
    assert not (tmp_path / "model.pt2").exists()
