"""LightningDataModules: plain Python, usable without Hydra."""

from kindling.data.base import Data, Examples
from kindling.data.images import Idx, ImageArchive
from kindling.data.lecture import DiabetesLecture
from kindling.data.synthetic import Blobs, Dates, Polynomial
from kindling.data.tabular import Table

__all__ = ["Blobs", "Data", "Dates", "DiabetesLecture", "Examples", "Idx", "ImageArchive", "Polynomial", "Table"]
