"""The launchers and the sweeper of -m, where Hydra looks for them. Hydra imports this at every start."""

from kindling.sweeps import hydra_plugin


class TogetherLauncher(hydra_plugin.TogetherLauncher):
    """As it is in the package; Hydra wants a class of this one."""


class RayLauncher(hydra_plugin.RayLauncher):
    """As it is in the package; Hydra wants a class of this one."""


class GridSweeper(hydra_plugin.GridSweeper):
    """As it is in the package; Hydra wants a class of this one."""
