"""Resolution of relative paths, names of folders, links that lead out of a folder, and writing of files."""

import errno
import os

import pytest
from conftest import PLAIN

from kindling import UserError, files
from kindling.cli.errors import plain_errors
from kindling.cli.resolvers import as_name
from kindling.files import child, find, reject_links, replacing


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


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../b", "/etc", "a/b", "a\\b", "C:x", "a\0b", "a\nb", "x" * 256, 7, None]
)
def test_what_is_not_the_name_of_a_folder_is_rejected_with_the_file_that_names_it(name, tmp_path):
    with pytest.raises(UserError, match=r"jobs\.json names the folder .*: it must be the name of a folder in"):
        child(tmp_path, name, tmp_path / "jobs.json")


def test_a_link_out_of_the_folder_is_no_child_and_a_plain_name_is_one(tmp_path):
    (tmp_path / "sweep" / "seed=0_ab").mkdir(parents=True)
    (tmp_path / "sweep" / "out").symlink_to(tmp_path)
    assert child(tmp_path / "sweep", "seed=0_ab", tmp_path) == tmp_path / "sweep" / "seed=0_ab"
    with pytest.raises(UserError, match=f"it is a link to {tmp_path}"):
        child(tmp_path / "sweep", "out", tmp_path)


@pytest.mark.parametrize("text", ["../../x.csv", "/etc/passwd", "..\\x", 'a:b*?"<>|'])
def test_an_option_cannot_put_a_path_into_the_name_of_a_folder(text):
    assert not set(as_name(f"data.path={text}")) & set('/\\:*?"<>|')


@pytest.mark.parametrize("place", ["train.log", "deep/er/file", "result.json.part"])
def test_a_link_out_of_a_folder_is_rejected_even_if_it_is_dangling(place, tmp_path):
    link = tmp_path / "run" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"{place} is a link to .*elsewhere, outside of .*: replace it by a copy"):
        reject_links(tmp_path / "run")


def test_links_within_a_folder_and_a_link_to_the_folder_are_accepted(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "run" / "newest").symlink_to("checkpoints/last.ckpt")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    reject_links(tmp_path / "run")
    reject_links(tmp_path / "link")
    reject_links(tmp_path / "new")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_instead_of_a_file_is_rejected(tmp_path):
    os.mkfifo(tmp_path / "train.log")
    with pytest.raises(UserError, match=r"train\.log is a pipe, socket or device"):
        reject_links(tmp_path)


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
