"""Invalid return values of load() are refused, with a hint at an ordinary LightningDataModule."""

import pytest
import torch

from kindling import UserError
from kindling.data.base import Data
from kindling.data.examples import Column, Examples


class Own(Data):
    def __init__(self, returned):
        super().__init__()
        self.returned = returned

    def load(self):
        return self.returned


X = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
YES, REAL, CLASS = (X[:, :1] > 0).float(), 2 * X[:, :1], (X[:, 0] > 0).long()
NAMES = ["a", "b"]
NUMBERS = r"expected a tensor of floating point numbers \(N, columns\) or \(N, \*input_shape\), or of uint8"
BAD = {
    "int64 inputs": (Examples(X.long(), YES, "binary"), rf"x as int64 of shape \(20, 2\); {NUMBERS}.*x\.float\(\)"),
    "int8 inputs": (Examples(X.to(torch.int8), YES, "binary"), r"x as int8 of shape .*x\.float\(\)"),
    "boolean inputs": (Examples(X > 0, YES, "binary"), r"x as bool of shape .*x\.float\(\)"),
    "a table of bytes": (Examples(X.to(torch.uint8), YES, "binary"), r"x as uint8 of shape \(20, 2\)"),
    "NumPy inputs": (Examples(X.numpy(), YES, "binary"), "x as a ndarray"),
    "ragged lists": (Examples([[1.0, 2.0], [3.0]], YES, "binary"), "x as a list of 2"),
    "two inputs": (Examples((X, X), YES, "binary"), "x as a tuple of 2"),
    "weights": ((X, YES, REAL), r"a tuple of 3; expected kindling\.data\.examples\.Examples"),
    "weighted test samples": (Examples(X, YES, "binary", test=(X, YES, REAL)), "as test a tuple of 3; expected a pair"),
    "nothing": (None, "a NoneType"),
    "an unknown task": (Examples(X, YES, "yes/no"), "as task 'yes/no'; expected one of binary, multiclass"),
    "weights instead of the task": (Examples(X, YES, REAL, "binary"), r"as task float32 of shape \(20, 1\)"),
    "no columns": (Examples(X[:, :0], YES, "binary"), r"x as float32 of shape \(20, 0\)"),
    "infinite inputs": (Examples(X / 0, REAL, "regression"), r"-?inf in row 0 of x, at \[0\]; expected numbers up to"),
    "another length": (Examples(X, YES[:5], "binary"), "x of length 20 and y of length 5; expected equal lengths"),
    "flat binary targets": (Examples(X, YES[:, 0], "binary"), r"y as float32 of shape \(20,\); .*\(N, 1\), 0 and 1"),
    "whole binary targets": (Examples(X, YES.long(), "binary"), r"y as int64 of shape \(20, 1\)"),
    "binary targets 1 and 2": (Examples(X, YES + 1, "binary"), "2 in row [0-9]+ of y"),
    "missing targets": (Examples(X, REAL * float("nan"), "regression"), "nan in row 0 of y"),
    "flat regression": (Examples(X, REAL[:, 0], "regression"), r"y as float32 of shape \(20,\); .*\(N, outputs\)"),
    "classes in a column": (Examples(X, CLASS[:, None], "multiclass", NAMES), r"y as int64 .* indices \(N,\)"),
    "a class of -1": (Examples(X, CLASS - 1, "multiclass", NAMES), "-1 in row [0-9]+ of y; .* class_names, 2"),
    "a class too high": (Examples(X, CLASS + 1, "multiclass", NAMES), "2 in row [0-9]+ of y"),
    "classes of int32": (Examples(X, CLASS.int(), "multiclass", NAMES), r"y as int32 of shape \(20,\)"),
    "three names of two": (Examples(X, YES, "binary", [*NAMES, "c"]), "3 class_names; expected 2"),
    "a missing column name": (Examples(X, YES, "binary", columns=["a"]), "1 column names"),
    "other test inputs": (Examples(X, YES, "binary", test=(X[:, :1], YES)), r"test x as float32 of shape \(20, 1\)"),
    "groups of some samples": (Examples(X, YES, "binary", groups=torch.arange(3)), r"groups as int64 of shape \(3,\)"),
    "times as a list": (Examples(X, YES, "binary", times=[1.0] * 20), "times as a list of 20"),
    "a kind of no column": (
        Examples(X, YES, "binary", columns=["a", "b"], kinds={"c": Column("date")}),
        "a kind for 'c'",
    ),
    "an unknown code": (
        Examples(X + 5, YES, "binary", columns=["a", "b"], kinds={"b": Column("category", ["x", "y"])}),
        "the code .* in column 'b'; expected indices of its 2 values",
    ),
    "a test class unseen": (Examples(X, CLASS, "multiclass", NAMES, test=(X, CLASS + 5)), "test [56] in row 0 of y"),
}


@pytest.mark.parametrize(("returned", "message"), BAD.values(), ids=BAD)
def test_an_invalid_return_value_of_load_is_rejected_with_an_alternative(returned, message):
    with pytest.raises(UserError, match=rf"^Own\.load\(\) returned {message}") as caught:
        Own(returned).setup()
    assert "write an ordinary LightningDataModule: see docs/models.md" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_point_inputs_of_any_precision_are_scaled_column_by_column(dtype):
    data = Own(Examples((X * torch.tensor([1.0, 100.0])).to(dtype), YES, "binary"))
    data.setup()
    train = data.samples["train"][0]
    torch.testing.assert_close(train.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)


def test_one_sample_is_too_few_to_train_on():
    with pytest.raises(UserError, match="Of 1 samples, 1 are left to train on, but two are needed"):
        Own(Examples(X[:1], YES[:1], "binary")).setup()
