"""Kindling: train small and medium supervised models with PyTorch Lightning and Hydra, and see what they learned.

Importing this package imports nothing else, so that `--help` and error messages appear before torch is loaded.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kindling.training.prediction.predictor import Predictor

__version__ = "0.1.0"


def load(run: "str | Path", trust: bool = False) -> "Predictor":
    """Return the trained model of a run, or of a sweep's best job, which predicts the rows of a DataFrame or array.

    Args:
        run: the run's or sweep's folder.
        trust: load its checkpoint even though that may run code.

    Raises:
        UserError: there is no such run, or it cannot predict tables.
    """
    from kindling.training.prediction.predictor import Predictor

    return Predictor(run, trust)


class UserError(ValueError):
    """An error that the user can fix; the message states what was found, what was expected, and what to do."""
