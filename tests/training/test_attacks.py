"""A run folder that somebody else has written can neither write outside of itself nor execute code."""

import pytest
from conftest import PLAIN
from omegaconf import OmegaConf
from trust_helpers import SMALL, linked, trained

from kindling import UserError
from kindling.training.run_folder import config_of, winner

__all__ = ["trained"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train.log", "metrics.csv", "result.json.part", ".claim"])
def test_resume_does_not_write_through_a_link(name, shell, tmp_path):
    shell("train.py", *SMALL, *PLAIN, "trainer=cpu", "hydra.run.dir=sent", check=True)
    victim = linked(tmp_path / "sent", name)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sent").rglob("*")}
    for args in (["resume=sent", "epochs=3"], [*SMALL, "hydra.run.dir=sent"]):
        done = shell("train.py", *args)
        assert (done.returncode, victim.read_text()) == (2, "untouched")
        assert f"{name} is a link to {victim}, outside of sent" in done.stderr
        assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sent").rglob("*")} == before


@pytest.mark.parametrize("name", ["../run", "/etc", ".."])
def test_a_leaderboard_names_no_folder_outside_the_sweep(name, trained, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "leaderboard.csv").write_text(f"status,folder\nfinished,{name}\n")
    with pytest.raises(UserError, match=r"leaderboard\.csv names the folder .* must be the name of a folder in"):
        winner(tmp_path / "sweep")
    with pytest.raises(UserError, match="must be the name of a folder in"):
        config_of(tmp_path / "sweep")


@pytest.mark.slow
def test_resume_writes_into_the_given_folder_and_not_where_its_config_says(shell, tmp_path):
    shell("train.py", *SMALL, *PLAIN, "trainer=cpu", "hydra.run.dir=sent", check=True)
    config = tmp_path / "sent/.hydra/config.yaml"
    cfg = OmegaConf.load(config)
    cfg.folder = str(tmp_path / "victim")
    OmegaConf.save(cfg, config)
    shell("train.py", "resume=sent", "epochs=3", check=True)
    assert not (tmp_path / "victim").exists()
    assert '"epochs": 3' in (tmp_path / "sent/result.json").read_text()
