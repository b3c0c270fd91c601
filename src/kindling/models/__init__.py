"""LightningModules: plain Python, usable without Hydra."""

from kindling.models.base import Model
from kindling.models.cnn import CNN
from kindling.models.linear import Linear
from kindling.models.mlp import Deep, WideDeep

__all__ = ["CNN", "Deep", "Linear", "Model", "WideDeep"]
