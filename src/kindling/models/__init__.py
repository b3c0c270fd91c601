"""Models: LightningModules, usable without Hydra."""
