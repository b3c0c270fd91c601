"""LightningDataModules: plain Python, usable without Hydra."""

from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.data.images import Idx, ImageArchive
from kindling.data.lecture import Credit, DiabetesLecture, WeightedSum
from kindling.data.lecture_sets import Playback, TwoInputs
from kindling.data.synthetic import Blobs, Dates, Polynomial
from kindling.data.tabular import Table

__all__ = [
    "Blobs",
    "Credit",
    "Data",
    "Dates",
    "DiabetesLecture",
    "Examples",
    "Idx",
    "ImageArchive",
    "Playback",
    "Polynomial",
    "Table",
    "TwoInputs",
    "WeightedSum",
]
