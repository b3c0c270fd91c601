"""Messages that callbacks print at the end of a run, and the name of its model."""

from abc import ABC, abstractmethod

from omegaconf import DictConfig


class Summary(ABC):
    """A callback that contributes sentences to result.json and the console at the end of a run."""

    @abstractmethod
    def summary(self, command: str, cfg: DictConfig | None) -> dict[str, list[str]]:
        """Return name -> sentences; called once when the run ends, even after an error.

        Args:
            command: the shortest command that reproduces the run.
            cfg: its config; None if the run ended before anything was instantiated.
        """


def named(class_name: str, choices: set[str | None]) -> str:
    """Return the name of a model's class, followed by its choices in conf/model/ if they are named differently."""
    others = sorted(choice for choice in choices if choice and choice.replace("_", "").lower() != class_name.lower())
    return f"{class_name} (model={' and '.join(others)})" if others else class_name
