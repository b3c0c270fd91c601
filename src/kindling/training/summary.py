"""What is said of a run: by its callbacks at its end, and of its model."""

from abc import ABC, abstractmethod

from omegaconf import DictConfig


class Summary(ABC):
    """A callback with sentences for result.json and for the console, at the end of a run."""

    @abstractmethod
    def summary(self, command: str, cfg: DictConfig | None) -> dict[str, list[str]]:
        """Return name -> sentences; called once, when the run has ended, however it did.

        Args:
            command: the shortest that reproduces the run.
            cfg: its config; None where it ended before anything was built.
        """


def named(kind: str, choices: set[str | None]) -> str:
    """Return a model's class, with the choices in conf/model/ that led to it where they are called something else."""
    others = sorted(choice for choice in choices if choice and choice.replace("_", "").lower() != kind.lower())
    return f"{kind} (model={' and '.join(others)})" if others else kind
