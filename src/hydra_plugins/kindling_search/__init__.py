"""The Optuna sweeper, where Hydra looks for plugins. Hydra imports this at every start."""

from kindling.sweeps.search import hydra_plugin


class OptunaSweeper(hydra_plugin.OptunaSweeper):
    """The package's sweeper; Hydra only finds plugin classes that are defined here."""
