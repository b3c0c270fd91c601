"""A sweep that goes on runs nothing that its group's checkpoint holds."""

import pytest
from sweeps.sweep_helpers import trained_together
from trust_helpers import REFUSAL, SMALL, poison

from kindling import UserError


def test_a_continued_sweep_does_not_run_what_its_groups_checkpoint_holds(tmp_path, monkeypatch):
    from kindling.sweeps.grouped import train as group

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
