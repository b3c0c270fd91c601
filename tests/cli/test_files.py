"""Resolution of relative paths, and writing of files."""

import errno
import os

import pytest
from conftest import PLAIN

from kindling import UserError, files
from kindling.cli.errors import plain_errors
from kindling.files import find, replacing


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


def test_after_an_error_neither_the_file_nor_its_temporary_file_is_left(tmp_path):
    file = tmp_path / "curve.png"
    file.write_text("old")

    def write():
        with replacing(file) as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device: .*curve\.png'"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
    assert file.read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
def test_an_error_of_the_file_system_is_one_sentence_and_exit_code_2(number, capsys):
    with pytest.raises(SystemExit, match=r"^2$"), plain_errors():
        raise OSError(number, os.strerror(number), "runs/a/result.json")
    assert capsys.readouterr().err.startswith(f"runs/a/result.json cannot be written ({os.strerror(number)}): ")


def test_other_errors_of_files_keep_their_traceback():
    with pytest.raises(FileNotFoundError), plain_errors():
        raise FileNotFoundError(errno.ENOENT, "not there")
