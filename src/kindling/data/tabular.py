"""Tables: one CSV, numeric columns, one or several targets."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data, Examples

PROJECT = Path(__file__).parents[3]


def find(path: str, knob: str = "data.path") -> Path:
    """The file at `path`, relative to the working folder or else to the project.

    Raises:
        UserError: neither has it.
    """
    for candidate in (Path(path), PROJECT / path):
        if candidate.is_file():
            return candidate
    raise UserError(f"{knob}={path} is no file, neither in {Path.cwd()} nor in {PROJECT}. Give a file's path.")


class Table(Data):
    """A CSV with a header.

    Args:
        path: the file; a relative path counts from the working folder, else from the project.
        target: the column to predict, or several of them for multilabel and regression with several outputs.
        task: "binary", "multiclass", "multilabel" or "regression".
        test_path: a second CSV with the same columns, used as test rows only.
        class_names: names for the sorted values of the target; default: the values.
        zero_is_missing: columns in which 0 means that nothing was measured.
    """

    def __init__(
        self,
        path: str,
        target: str | list[str],
        task: str,
        test_path: str | None = None,
        class_names: list[str] | None = None,
        zero_is_missing: list[str] | tuple = (),
        **data,
    ):
        super().__init__(**data)
        self.path, self.target, self.task, self.test_path = path, target, task, test_path
        self.class_names, self.zero_is_missing = class_names, zero_is_missing

    def load(self) -> Examples:
        frame = self._read(self.path)
        targets = [self.target] if isinstance(self.target, str) else list(self.target)
        columns = [name for name in frame.columns if name not in targets]
        classes = sorted(frame[targets[0]].unique()) if self.task in ("binary", "multiclass") else targets
        if self.task == "binary" and len(classes) != 2:
            raise UserError(
                f"task=binary needs 2 classes in {self.target}, {self.path} has {len(classes)}: {classes[:9]}."
            )
        names = self.class_names or [str(name) for name in classes]
        if self.task != "regression" and len(names) != len(classes):
            raise UserError(
                f"data.class_names has {len(names)} names, {self.target} has {len(classes)} values: {classes[:9]}."
            )
        test = None
        if self.test_path:
            rows = self._read(self.test_path)
            test = self._x(rows, columns), self._y(rows, targets, classes)
        x, y = self._x(frame, columns), self._y(frame, targets, classes)
        return Examples(x, y, self.task, [] if self.task == "regression" else names, columns, test)

    def _read(self, path: str) -> pd.DataFrame:
        frame = pd.read_csv(find(path))
        wanted = [*([self.target] if isinstance(self.target, str) else self.target), *self.zero_is_missing]
        absent = [name for name in wanted if name not in frame.columns]
        if absent:
            raise UserError(f"{path} has no column {absent[0]!r}; its columns: {', '.join(frame.columns)}.")
        text = [name for name in frame.columns if frame[name].dtype.kind not in "fiub" and name not in wanted]
        if text:
            raise UserError(
                f"{path} has text in column {text[0]!r} (first: {frame[text[0]][0]!r}); inputs must be numbers."
            )
        return frame

    def _x(self, frame: pd.DataFrame, columns: list[str]) -> Tensor:
        inputs = frame[columns].astype("float32")
        for name in self.zero_is_missing:
            inputs[name] = inputs[name].where(inputs[name] != 0)
        return torch.from_numpy(inputs.to_numpy().copy(order="C"))  # pandas keeps columns together

    def _y(self, frame: pd.DataFrame, targets: list[str], classes: list) -> Tensor:
        if self.task in ("binary", "multiclass"):
            codes = pd.Categorical(frame[targets[0]], categories=classes).codes
            if (codes < 0).any():
                raise UserError(f"{targets[0]} has a value that the training rows lack, or none at all.")
            return torch.tensor(codes).long() if self.task == "multiclass" else torch.tensor(codes).float()[:, None]
        return torch.from_numpy(frame[targets].to_numpy("float32").copy())
