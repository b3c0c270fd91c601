"""Training runs: folders, checkpoints, loggers, results and evaluation."""
