"""Where a relative path counts from."""

import pytest
from conftest import PLAIN

from kindling import UserError, files
from kindling.files import find


def test_a_path_counts_from_the_working_folder_the_starting_folder_and_the_project(tmp_path, monkeypatch):
    for name in ("now", "start", "project"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.csv").touch()
    monkeypatch.setattr(files, "START", tmp_path / "start")
    monkeypatch.setattr(files, "PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path / "now")
    for name in ("now", "start", "project"):
        assert find(f"{name}.csv") == tmp_path / name / f"{name}.csv"
    with pytest.raises(UserError, match=r"^init=no\.json is no file, neither in .*start nor in .*project\."):
        find("no.json", "init")


@pytest.mark.slow
def test_a_run_that_changes_its_working_folder_still_finds_the_file(shell, table):
    words = [word.replace(str(table[1][10:]), "tiny.csv") for word in table]
    assert "data.path=tiny.csv" in words
    done = shell("train.py", *words, "epochs=1", *PLAIN, "hydra.job.chdir=true")
    assert done.returncode == 0, done.stderr
