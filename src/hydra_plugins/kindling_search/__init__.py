"""Shows Hydra the sweeper that searches. Hydra imports this at every start."""

from kindling.sweeps.search.hydra_plugin import OptunaSweeper

__all__ = ["OptunaSweeper"]
