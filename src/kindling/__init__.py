"""Kindling: train small and medium supervised models with PyTorch Lightning and Hydra, and see what they learned.

Importing this package imports nothing else: `--help` and refusals answer before torch is loaded.
"""

__version__ = "0.1.0"


class UserError(ValueError):
    """Something the user typed or supplied cannot work; the message says what was found, wanted, and what to do."""
