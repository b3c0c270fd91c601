"""Notes on the console: the choice that a model was made from, and why a regression's loss differs from its MSE."""

import pytest
import torch

from kindling.models.mlp import Deep
from kindling.training.result import loss_note
from kindling.training.summary import named


@pytest.mark.parametrize(
    ("cls", "choices", "expected"),
    [
        (Deep, {"deep"}, "model=deep"),
        (Deep, {"wide"}, "model=wide"),
        (Deep, {"wide", "deep", None}, "model=deep,wide"),
        (Deep, {None}, "Deep"),
        (torch.nn.Linear, {"mine"}, "model=mine (Linear)"),
        (torch.nn.Linear, set(), "Linear"),
    ],
)
def test_a_model_is_named_by_its_choice_and_by_its_class_unless_it_is_built_in(cls, choices, expected):
    assert named(cls, choices) == expected


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
def test_the_loss_note_appears_only_for_an_mse_of_a_scaled_target(metrics, std):
    assert loss_note(metrics, std) == ""
    assert loss_note({"val/loss": 2.0, "val/mse": 8.0}, [2.0]) != ""
