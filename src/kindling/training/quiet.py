"""Which messages of the libraries are left out."""

import logging
import warnings

HARMLESS = (  # Lightning and torchmetrics, of runs that are as they should be
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    "Checkpoint directory .* exists and is not empty",
    "The number of training batches .* is smaller than the logging interval",
    ".*does not have many workers.*",
    "No (positive|negative) samples in targets.*",
    "Total length of `.*` across ranks is zero.*",
    "GPU available but not used.*",
    "MPS available but not used.*",
)


def silence(verbose: bool = False) -> None:
    """Leave out what Lightning says of itself and of every run; with `verbose` show it all."""
    for library in ("pytorch_lightning", "lightning_fabric", "lightning.fabric", "lightning.pytorch"):
        logging.getLogger(library).setLevel(logging.INFO if verbose else logging.ERROR)
    if not verbose:
        for message in HARMLESS:
            warnings.filterwarnings("ignore", message=message)
