"""The sweeper that searches, where Hydra looks for it. Hydra imports this at every start."""

from kindling.sweeps.search import hydra_plugin


class OptunaSweeper(hydra_plugin.OptunaSweeper):
    """As it is in the package; Hydra wants a class of this one."""
