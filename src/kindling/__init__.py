"""Kindling: train small and medium supervised models with PyTorch Lightning and Hydra, and see what they learned.

Importing this package imports nothing else, so that `--help` and error messages appear before torch is loaded.
"""

__version__ = "0.1.0"


class UserError(ValueError):
    """An error that the user can fix; the message states what was found, what was expected, and what to do."""
