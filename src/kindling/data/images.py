"""Image data sets, kept in memory as bytes (N, channels, height, width)."""

import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import torch

from kindling import UserError
from kindling.data.base import Data
from kindling.data.download import fetch, read_checked
from kindling.data.examples import Examples
from kindling.files import PROJECT, candidates, find, reject_bomb

NAMES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class ImageArchive(Data):
    """Images in a NumPy archive with bytes `x_train`, `x_test` (N, height, width) and classes `y_train`, `y_test` (N,).

    Args:
        path: the .npz file.
        shift: maximum random shift of training images in pixels, redrawn in every epoch.
        data: arguments of Data.

    Raises:
        UserError: the file is not such an archive.
    """

    def __init__(self, path: str, shift: int = 0, **data: Any):
        super().__init__(**data)
        self.path, self.shift = path, shift

    def load(self) -> Examples:
        x, x_test = (torch.from_numpy(array)[:, None] for array in _arrays(self.path, "x", 3, kinds="u"))
        y, y_test = (torch.from_numpy(array).long() for array in _arrays(self.path, "y", 1, kinds="iu"))
        names = [str(k) for k in range(int(y.max()) + 1)]
        return Examples(x, y, "multiclass", class_names=names, test=(x_test, y_test), shift=self.shift)


class Idx(Data):
    """Images in the four IDX files of MNIST-like data sets (http://yann.lecun.com/exdb/mnist), with their test set.

    Args:
        folder: folder of the files, plain or as .gz, relative to the working folder or else to the project.
        sha256: checksums of the unpacked files, by name: train-images-idx3-ubyte, train-labels-idx1-ubyte, and the same
            with t10k; None for a file that is not checked.
        class_names: names of the labels 0, 1, ...
        sources: where to download missing files from, tried in order (kindling.data.download.fetch).
        shift: maximum random shift of training images in pixels, redrawn in every epoch.
        num_examples: number of samples to use from the start of the training file; None: all.
        data: arguments of Data.

    Raises:
        UserError: files are missing and cannot be downloaded, or are invalid, or have fewer samples.
    """

    def __init__(
        self,
        folder: str,
        sha256: dict[str, str | None],
        class_names: list[str],
        sources: list[str] | tuple[str, ...] = (),
        shift: int = 0,
        num_examples: int | None = None,
        **data: Any,
    ):
        super().__init__(**data)
        self.folder, self.sha256, self.class_names = folder, sha256, class_names
        self.sources, self.shift, self.num_examples = sources, shift, num_examples

    def load(self) -> Examples:
        folder = next((path for path in candidates(self.folder) if path.is_dir()), PROJECT / self.folder)
        if unknown := set(self.sha256) - set(NAMES):  # which would be written
            raise UserError(f"data.sha256 has {min(unknown)}: the files are {', '.join(NAMES)}.")
        fetch(folder, self.sha256, list(self.sources))
        x, y, x_test, y_test = (_idx(folder, name, self.sha256.get(name)) for name in NAMES)
        n = len(y) if self.num_examples is None else self.num_examples
        if not 0 < n <= len(y):
            raise UserError(f"data.num_examples={n} is invalid: {folder} has {len(y)} training samples (null: all).")
        x, y, test = x[:n, None], y[:n].long(), (x_test[:, None], y_test.long())
        return Examples(x, y, "multiclass", class_names=list(self.class_names), test=test, shift=self.shift)


def _arrays(path: str, name: str, dimensions: int, kinds: str) -> list[np.ndarray]:
    """Return the arrays `name`_train and `name`_test of an archive after checking their dimensions and dtype kinds."""
    expected = "expected an .npz with bytes x_train, x_test (N, height, width) and class indices y_train, y_test (N,)"
    file = find(path)
    try:
        if is_zipfile(file):
            with ZipFile(file) as members:
                reject_bomb(file, file.stat().st_size, sum(member.file_size for member in members.infolist()))
        with np.load(file, allow_pickle=False) as archive:
            found = {key: archive[key] for key in (f"{name}_train", f"{name}_test") if key in archive}
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:  # pickled, a plain array, or truncated
        raise UserError(f"data.path={path} cannot be read ({error}): {expected}.") from error
    if len(found) < 2:
        raise UserError(f"data.path={path} lacks {name}_train or {name}_test: {expected}.")
    for key, array in found.items():
        if array.ndim != dimensions or array.dtype.kind not in kinds or (name == "x" and array.dtype != np.uint8):
            raise UserError(f"data.path={path} has {key} as {array.dtype} of shape {array.shape}: {expected}.")
    return list(found.values())


def _idx(folder: Path, name: str, sha256: str | None) -> torch.Tensor:
    """Read an IDX file of bytes: two zeros, 8 for bytes, the number of dimensions, the dimensions, the data."""
    content = read_checked(folder, name, sha256)
    dimensions = content[3] if len(content) > 3 and content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(content[i : i + 4]) for i in range(4, start, 4)]
    if not dimensions or len(content) - start != math.prod(shape):
        raise UserError(
            f"{folder / name} is not an IDX file of bytes, or is truncated: delete it to download it again."
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())
