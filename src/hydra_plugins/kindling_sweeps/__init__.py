"""The launchers and the grid sweeper, where Hydra looks for plugins. Hydra imports this at every start."""

from kindling.sweeps import hydra_plugin


class TogetherLauncher(hydra_plugin.TogetherLauncher):
    """The package's launcher; Hydra only finds plugin classes that are defined here."""


class RayLauncher(hydra_plugin.RayLauncher):
    """The package's Ray launcher; see TogetherLauncher."""


class GridSweeper(hydra_plugin.GridSweeper):
    """The package's sweeper; see TogetherLauncher."""
