"""Downloads are complete or fail: from a server that truncates, corrupts and refuses, npm, folders, manual files."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import stat
import tarfile
import threading

import pytest

from kindling import UserError
from kindling.data import download
from kindling.data.download import fetch, read_checked

FILES = {"images": b"pixels " * 500, "labels": b"classes " * 100}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    """/good/ serves the files as .gz; others truncate or corrupt them, refuse, or serve different files."""

    def do_GET(self):
        _, kind, name = self.path.split("/")
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"{'ftp' if name == 'labels.gz' else 'http'}://127.0.0.1/{name}")
            self.end_headers()
            return
        content = FILES.get(name.removesuffix(".gz"))
        if content is None or kind == "refuses":
            self.send_error(404)
            return
        packed = gzip.compress(b"something else" if kind == "other" else content)
        body = packed[: len(packed) // 2] if kind in ("truncated", "short") else packed
        if kind == "corrupt":
            body = body[:20] + bytes([body[20] ^ 1]) + body[21:]
        if kind in ("bomb", "endless"):
            body = packed = gzip.compress(bytes(5 * download.MOST)) if kind == "bomb" else bytes(5 * download.MOST)
        self.send_response(200)
        if kind != "endless":
            self.send_header("Content-Length", str(len(body) if kind == "short" else len(packed)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Do nothing."""


@pytest.fixture(autouse=True)
def plain_http(monkeypatch):
    """Accept the server of this file, which has no certificate, and limit what is unpacked to 20 kB."""
    monkeypatch.setattr(download, "SECURE", "http://127.0.0.1:")
    monkeypatch.setattr(download, "MOST", 20_000)


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_files_are_downloaded_unpacked_and_checked_once(server, tmp_path, monkeypatch):
    fetch(tmp_path / "new" / "folder", SHA256, [f"{server}/good/"])
    assert contents(tmp_path / "new" / "folder") == FILES
    monkeypatch.setattr("kindling.data.download._get", None)  # nothing is requested again
    fetch(tmp_path / "new" / "folder", SHA256, [f"{server}/good/"])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "IncompleteRead"),
        ("short", "end-of-stream"),
        ("corrupt", "images: "),
        ("other", "its SHA-256 is .* not"),
        ("refuses", "HTTP Error 404"),
        ("moved", "http://127.0.0.1/images.gz is not secure: only"),
        ("bomb", "it has more than 20,000 bytes"),
        ("endless", "it has more than 20,000 bytes"),
    ],
)
def test_a_damaged_file_is_never_kept_and_the_next_source_is_tried(server, tmp_path, kind, reason):
    with pytest.raises(UserError, match=reason) as caught:
        fetch(tmp_path, SHA256, [f"{server}/{kind}/"])
    assert "images, labels could not be downloaded. Tried:" in str(caught.value)
    assert f"Put the files, plain or as .gz, into {tmp_path} manually." in str(caught.value)
    assert contents(tmp_path) == {}
    fetch(tmp_path, SHA256, [f"{server}/{kind}/", f"{server}/good/"])
    assert contents(tmp_path) == FILES


def test_an_unreachable_server_is_named(tmp_path):
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/ images: .*refused"):
        fetch(tmp_path, SHA256, ["http://127.0.0.1:9/"])


def test_a_folder_with_plain_or_packed_files_is_a_source(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "images").write_bytes(FILES["images"])
    (tmp_path / "from" / "labels.gz").write_bytes(gzip.compress(FILES["labels"]))
    fetch(tmp_path / "to", SHA256, [str(tmp_path / "nowhere"), str(tmp_path / "from")])
    assert contents(tmp_path / "to") == FILES


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for npm is a shell script")
def test_an_npm_package_is_a_source(tmp_path, monkeypatch):
    """With a script in place of npm that returns an archive with package/data/<file>."""
    for name, content in FILES.items():
        (tmp_path / "package" / "data").mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / "data" / name).write_bytes(content)
    with tarfile.open(tmp_path / "digits-1.0.0.tgz", "w:gz") as tar:
        tar.add(tmp_path / "package", "package")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        f'#!/bin/sh\n[ "$*" = "pack --silent --ignore-scripts digits@1.0.0" ] && cp {tmp_path}/digits-1.0.0.tgz .\n'
    )
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    fetch(tmp_path / "to", SHA256, ["npm:digits@1.0.0"])
    assert contents(tmp_path / "to") == FILES
    with pytest.raises(UserError, match=r"npm:other@1.0.0 images: "):
        fetch(tmp_path / "none", SHA256, ["npm:other@1.0.0"])


def test_a_missing_npm_is_named_in_the_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm:digits@1.0.0 images: npm is not installed"):
        fetch(tmp_path, SHA256, ["npm:digits@1.0.0"])


def test_files_added_manually_are_read_plain_or_packed_and_checked(tmp_path):
    (tmp_path / "images").write_bytes(FILES["images"])
    (tmp_path / "labels.gz").write_bytes(gzip.compress(FILES["labels"]))
    fetch(tmp_path, SHA256, [])  # nothing to do
    read = functools.partial(read_checked, tmp_path)
    assert {name: read(name, SHA256[name]) for name in FILES} == FILES
    (tmp_path / "images").write_bytes(FILES["images"][:-1])
    with pytest.raises(UserError, match=r"images is damaged or a different file .*: delete it to download it again"):
        read("images", SHA256["images"])
    (tmp_path / "labels.gz").write_bytes(gzip.compress(FILES["labels"])[:-9])
    with pytest.raises(UserError, match=r"labels.gz cannot be read .*: delete it"):
        read("labels", SHA256["labels"])


@pytest.mark.parametrize("url", ["http://example.org", "ftp://example.org", "file:///etc"])
def test_only_https_is_a_source(url, tmp_path, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(UserError, match=f"{url}/images.gz is not secure: only https:// and folders are sources"):
        fetch(tmp_path, SHA256, [url])


@pytest.mark.parametrize(
    "package", ["./folder", "git+https://example.org/x.git", "-g@1", "user/repository", "x@latest"]
)
def test_npm_gets_only_a_version_of_a_package_in_its_registry(package, tmp_path):
    with pytest.raises(UserError, match="it is not of the form npm:package@version"):
        fetch(tmp_path, SHA256, [f"npm:{package}"])


@pytest.mark.parametrize("name", ["../.bashrc", "/etc/passwd", "a/b", ""])
def test_a_file_without_a_plain_name_is_not_downloaded(name, tmp_path):
    with pytest.raises(
        UserError, match=r"cannot be the name of a downloaded file, because it .*: correct data\.sha256"
    ):
        fetch(tmp_path / "to", {name: "0" * 64}, [str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_checksum_is_not_downloaded(server, tmp_path):
    with pytest.raises(UserError, match=r"images has no SHA-256 checksum: add it to data\.sha256"):
        fetch(tmp_path, {"images": None}, [f"{server}/good/"])


def test_an_archive_gives_only_files_in_its_data_folder_of_a_limited_size(tmp_path):
    def add(tar, name, size=3, **attributes):
        member = tarfile.TarInfo(name)
        member.size = size
        for key, value in attributes.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(bytes(size)))

    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        for name in ("package/data/images", "package/data/../../x", "/package/data/y", "package/data/deep/z"):
            add(tar, name)
        add(tar, "package/data/link", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "package/data/hard", 0, type=tarfile.LNKTYPE, linkname="/etc/passwd")
    assert download._members(tmp_path / "a.tgz") == {"images": bytes(3)}
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as tar:
        add(tar, "package/data/images", 20_001)
    with tarfile.open(tmp_path / "c.tgz", "w:gz") as tar:
        add(tar, "other", 30_000)
        add(tar, "package/data/images")
    for bomb in ("b.tgz", "c.tgz"):
        with pytest.raises(OSError, match="20,000"):
            download._members(tmp_path / bomb)


def test_what_cannot_be_written_leaves_no_part(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        download._write(tmp_path / "images", b"content")
    assert list(tmp_path.iterdir()) == []
