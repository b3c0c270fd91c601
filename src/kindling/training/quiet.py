"""Suppression of harmless messages and warnings of the libraries."""

import logging
import warnings

HARMLESS = (  # of Lightning and torchmetrics, in runs without a problem
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
    """Suppress messages that Lightning prints for every run, unless `verbose`."""
    for library in ("pytorch_lightning", "lightning_fabric", "lightning.fabric", "lightning.pytorch"):
        logging.getLogger(library).setLevel(logging.INFO if verbose else logging.ERROR)
    if not verbose:
        for message in HARMLESS:
            warnings.filterwarnings("ignore", message=message)
