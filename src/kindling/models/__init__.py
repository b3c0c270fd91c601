"""LightningModules: plain Python, usable without Hydra."""

from kindling.models.base import Model
from kindling.models.cnn import CNN
from kindling.models.linear import Linear
from kindling.models.mlp import Deep, WideDeep
from kindling.models.towers import Towers

__all__ = ["CNN", "Deep", "Linear", "Model", "Towers", "WideDeep"]
