"""Messages that callbacks print at the end of a run, and the name of its model."""

from abc import ABC, abstractmethod

from omegaconf import DictConfig

from kindling.cli.conf import is_builtin


class Summary(ABC):
    """A callback that contributes sentences to result.json and the console at the end of a run."""

    @abstractmethod
    def summary(self, command: str, cfg: DictConfig | None) -> dict[str, list[str]]:
        """Return name -> sentences; called once when the run ends, even after an error.

        Args:
            command: the shortest command that reproduces the run.
            cfg: its config; None if the run ended before anything was instantiated.
        """


def named(cls: type, choices: set[str | None]) -> str:
    """Return a model's choices in conf/model/, e.g. model=wide; its class is added unless it is built in."""
    name = f"model={','.join(sorted(filter(None, choices)))}" if any(choices) else cls.__name__
    return name if is_builtin(cls.__module__) or name == cls.__name__ else f"{name} ({cls.__name__})"
