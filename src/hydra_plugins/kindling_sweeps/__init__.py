"""Shows Hydra the launcher and the sweeper of -m. Hydra imports this at every start."""

from kindling.sweeps.hydra_plugin import GridSweeper, TogetherLauncher

__all__ = ["GridSweeper", "TogetherLauncher"]
