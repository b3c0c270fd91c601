"""Data sets: LightningDataModules, usable without Hydra."""
