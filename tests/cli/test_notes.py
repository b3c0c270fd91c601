"""What the console says besides numbers: the choice that a model is, and why a regression's loss is not its mse."""

import pytest

from kindling.training.result import loss_note
from kindling.training.summary import named


@pytest.mark.parametrize(
    ("kind", "choices", "said"),
    [
        ("Deep", {"deep"}, "Deep"),
        ("WideDeep", {"wide_deep"}, "WideDeep"),
        ("Deep", {"wide"}, "Deep (model=wide)"),
        ("Deep", {"wide", "deep", None}, "Deep (model=wide)"),
        ("Linear", {"logistic", "linear", "line"}, "Linear (model=line and logistic)"),
    ],
)
def test_a_model_is_named_by_its_class_and_by_its_choice_where_that_differs(kind, choices, said):
    assert named(kind, choices) == said


@pytest.mark.parametrize(
    ("metrics", "std"),
    [
        ({"val/loss": 2.0, "val/mse": 2.0}, [1.0]),  # the same
        ({"val/loss": 2.0, "val/mse": 2.0}, None),  # not scaled
        ({"val/loss": 3.0, "val/mse": 8.0}, [2.0]),  # another loss
        ({"val/loss": None, "val/mse": 8.0}, [2.0]),
        ({"val/accuracy": 1.0}, None),
    ],
)
def test_nothing_is_said_of_another_loss(metrics, std):
    assert loss_note(metrics, std) == ""
    assert loss_note({"val/loss": 2.0, "val/mse": 8.0}, [2.0]) != ""
