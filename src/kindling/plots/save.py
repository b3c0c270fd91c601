"""Write matplotlib figures to files and loggers."""

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from kindling.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

END = b"IEND\xaeB`\x82"  # the last chunk of a PNG


def log_figure(loggers: list[Logger], tag: str, figure: "Figure", step: int = 0, file: Path | None = None) -> None:
    """Write a figure to the loggers that accept images and, as PNG, to `file`; it is rendered only once."""
    content = png(figure)
    if file:
        write_atomically(file, content)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.file_writer.add_summary(picture(tag, content), step)
        elif hasattr(logger, "log_image"):  # Weights & Biases
            logger.log_image(tag, [figure], step=step)


def png(figure: "Figure") -> bytes:
    """Render a figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})  # more compression is slower than drawing
    return content.getvalue()


def is_png(file: Path) -> bool:
    """Return whether a file is a complete and undamaged PNG."""
    try:
        with Image.open(file) as image:
            image.verify()  # the checksum of every chunk
    except (OSError, SyntaxError):
        return False
    return file.read_bytes().endswith(END)


def picture(tag: str, png: bytes) -> Summary:
    """Return a PNG file as a summary for TensorBoard's writer."""
    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)  # red, green, blue, alpha
    return Summary(value=[Summary.Value(tag=tag, image=image)])
