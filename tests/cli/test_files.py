"""Resolution of relative paths."""

import pytest
from conftest import PLAIN

from kindling import UserError, files
from kindling.files import find


def test_a_path_is_resolved_against_the_working_folder_the_starting_folder_and_the_project(tmp_path, monkeypatch):
    for name in ("now", "start", "project"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.csv").touch()
    monkeypatch.setattr(files, "START", tmp_path / "start")
    monkeypatch.setattr(files, "PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path / "now")
    for name in ("now", "start", "project"):
        assert find(f"{name}.csv") == tmp_path / name / f"{name}.csv"
    with pytest.raises(UserError, match=r"^init=no\.json: no such file in .*start or in .*project\."):
        find("no.json", "init")


@pytest.mark.slow
def test_a_run_that_changes_its_working_folder_still_finds_the_file(shell, table):
    overrides = [override.replace(str(table[1][10:]), "tiny.csv") for override in table]
    assert "data.path=tiny.csv" in overrides
    done = shell("train.py", *overrides, "epochs=1", *PLAIN, "hydra.job.chdir=true")
    assert done.returncode == 0, done.stderr
