"""What a callback adds to the result of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kindling.training.run import Run


class Summary(ABC):
    """A callback with sentences for result.json and for the console, at the end of a run."""

    @abstractmethod
    def summary(self, run: Run) -> dict[str, list[str]]:
        """Return name -> sentences; called once, when the run has ended, however it did."""
