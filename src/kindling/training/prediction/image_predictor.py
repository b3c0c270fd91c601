"""Predictions of a trained model for image files, which are prepared like the images of MNIST."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kindling import UserError
from kindling.data.loader import Pixels
from kindling.models.probabilities import from_logits, logits_of
from kindling.training.prediction.saved_model import SavedModel

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
BOX = 20 / 28  # side of the square that a digit of MNIST fills, relative to its image
INK = 0.25  # brightness, relative to the brightest pixel, from which a pixel belongs to the object
MIN_CONTRAST = 20  # smallest difference between object and background, of 255


class ImagePredictor(SavedModel):
    """Predicts image files of any size, in colour or grey, dark on light or light on dark.

    Raises:
        UserError: see SavedModel; or the run was not trained on square images with one channel.
    """

    def __init__(self, folder: str | Path, trust: bool = False):
        super().__init__(folder, trust)
        shape = list(self.hyperparameters.get("input_shape", []))
        if len(shape) != 3 or shape[0] != 1 or shape[1] != shape[2]:
            raise UserError(f"{folder} was not trained on square grey images, but on inputs of the shape {shape}.")
        self.side = shape[1]

    def __call__(self, files: list[Path]) -> tuple["pd.DataFrame", np.ndarray]:
        """Return the predictions, with the names of the files, and the images (N, side, side) as the model saw them.

        Raises:
            UserError: a file is not an image, or has nothing in it.
        """
        images = np.stack([prepare(read_grey(file), self.side, file) for file in files])
        x = Pixels(self.transform)(torch.from_numpy(images)[:, None])
        preds = from_logits(self.model.task, self.transform, logits_of(self.model, x))
        table = self.table(preds.double().numpy())
        table.insert(0, "file", [str(file) for file in files])
        return table, images


def read_grey(file: Path) -> np.ndarray:
    """Return the brightness (height, width), 0 to 255; transparent pixels are white.

    Raises:
        UserError: the file is not an image, or is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{file} cannot be read as an image: {error}") from error
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("L"), dtype="float64")


def prepare(grey: np.ndarray, side: int, file: Path) -> np.ndarray:
    """Return an image (side, side) of uint8 with the object light on black, cropped, scaled and centred like MNIST's.

    The object is scaled to a square of 20/28 of the side and its centre of mass is put in the middle, as described by
    LeCun, Cortes and Burges in "The MNIST database of handwritten digits".

    Raises:
        UserError: object and background cannot be told apart.
    """
    from PIL import Image

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    light = background > (grey.min() + grey.max()) / 2  # dark on light
    ink = np.clip(background - grey if light else grey - background, 0, None)
    if ink.max() < MIN_CONTRAST:
        raise UserError(f"{file} shows nothing: all pixels have about the same brightness.")
    rows, columns = (np.flatnonzero((ink > INK * ink.max()).any(axis)) for axis in (1, 0))
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * (255 / ink.max())
    scale = BOX * side / max(part.shape)
    height, width = (max(1, round(size * scale)) for size in part.shape)
    scaled = np.asarray(Image.fromarray(part.astype("float32")).resize((width, height), Image.Resampling.BILINEAR))
    middle = (float(np.average(np.arange(scaled.shape[axis]), weights=scaled.sum(1 - axis))) for axis in (0, 1))
    top, left = (round(side / 2 - centre) for centre in middle)
    top, left = min(max(top, 0), side - height), min(max(left, 0), side - width)
    image = np.zeros((side, side), dtype="uint8")
    image[top : top + height, left : left + width] = scaled.clip(0, 255).round().astype("uint8")
    return image


def sheet(images: np.ndarray, labels: list[str], columns: int = 10, zoom: int = 4) -> Any:
    """Return a picture (PIL) of the images (N, side, side) in rows, each with its label below."""
    from PIL import Image, ImageDraw

    side, line = images.shape[1] * zoom, 14
    rows = -(-len(images) // columns)
    found = Image.new("L", (min(columns, len(images)) * (side + 4), rows * (side + line + 4)), 255)
    draw = ImageDraw.Draw(found)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        left, top = i % columns * (side + 4), i // columns * (side + line + 4)
        found.paste(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + side), label.encode("ascii", "replace").decode()[: side // 6], fill=0)
    return found
