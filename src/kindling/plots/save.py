"""From a matplotlib figure to files and loggers."""

import io
import struct
from pathlib import Path

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary


def log_figure(loggers: list[Logger], tag: str, figure, step: int = 0, file: Path | None = None) -> None:
    """A matplotlib figure to the loggers that take images, and as PNG to `file`. It is rendered once, the slow part."""
    content = png(figure)
    if file:
        file.write_bytes(content)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.file_writer.add_summary(picture(tag, content), step)
        elif hasattr(logger, "log_image"):  # Weights & Biases
            logger.log_image(tag, [figure], step=step)


def png(figure) -> bytes:
    """Of a matplotlib figure."""
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})  # smaller takes longer than drawing
    return content.getvalue()


def picture(tag: str, png: bytes) -> Summary:
    """What TensorBoard's writer takes: a PNG file under a name."""
    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)  # red, green, blue, alpha
    return Summary(value=[Summary.Value(tag=tag, image=image)])
