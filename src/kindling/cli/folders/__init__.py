"""The folders of runs and sweeps: reading, checking and resuming them. Does not import torch."""
