"""Pictures of a run that has ended."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from kindling import UserError
from kindling.data.base import Data
from kindling.files import BEST
from kindling.models.base import Model
from kindling.plots.confusion_matrix import draw as draw_counts
from kindling.plots.figures import model_figures, sample_figures, stage_predictions, without_test
from kindling.plots.save import picture, png
from kindling.plots.style import style
from kindling.training import load as saved
from kindling.training.tolerate import optional

COUNTS = "confusion_matrix*.csv"


def draw(folder: Path, columns: tuple[str, str] | None = None, trust: bool = False) -> list[Path]:
    """Draw what is not drawn yet, as PNG in the run's folder and for TensorBoard; the files drawn now.

    Args:
        columns: two columns of a table, over which its surface is drawn; without them a table of two has one.
        trust: open its checkpoint although that may run code.

    Raises:
        UserError: there is no run, its result cannot be read, or there are no such columns.
    """
    if not (folder / "result.json").exists():
        raise UserError(f"run={folder} is no run folder (it has no result.json).")
    try:
        epoch = json.loads((folder / "result.json").read_text(encoding="utf-8")).get("best_epoch") or 0
    except ValueError as error:
        raise UserError(f"{folder / 'result.json'} cannot be read: {error}") from error
    drawn = []
    with SummaryWriter(str(folder)) as writer:
        for tag, file, draw_figure in _figures(folder, epoch, columns, trust=trust):
            with optional(f"picture {tag}"):
                figure = draw_figure()
                if figure is not None:
                    content = png(figure)
                    file.write_bytes(content)
                    writer.file_writer.add_summary(picture(tag, content), epoch)
                    drawn.append(file)
    return drawn


def _figures(
    folder: Path, epoch: int, columns: tuple[str, str] | None, trust: bool
) -> Iterator[tuple[str, Path, Callable]]:
    """Yield (tag, file, function that draws) for what has no file yet."""
    for path in sorted(folder.glob(COUNTS)):
        if not path.with_suffix(".png").exists():
            stage = path.stem.removeprefix("confusion_matrix").strip("_") or "test"
            title = f"{stage} samples, best epoch ({epoch})"
            yield f"confusion/{stage}", path.with_suffix(".png"), partial(_confusion, path, title)
    if not (folder / BEST).exists():
        return
    data, model = _trained(folder, trust)
    if not isinstance(model, Model) or not isinstance(data, Data):
        return
    suffix = re.sub(r"[^\w.+-]+", "-", "_".join(["", *columns])) if columns else ""
    tested = (folder / "confusion_matrix.csv").exists() or "test/loss" in (folder / "result.json").read_text(
        encoding="utf-8"
    )
    stage = "test" if tested else without_test(data)
    title = f"best epoch ({epoch})"
    drawings = [("/best", *drawing) for drawing in model_figures(model, data, title, columns=columns)]
    with optional(f"pictures of the {stage} samples"):
        drawings += [("", *drawing) for drawing in sample_figures(data, stage, stage_predictions(model, data, stage))]
    with style():
        for kind, name, draw_figure in drawings:
            file = folder / f"{name.replace('/', '_')}{suffix if name in ('surface', 'plane', 'neurons') else ''}.png"
            if not file.exists():
                yield f"{name}{suffix if kind else ''}{kind}", file, draw_figure


def _trained(folder: Path, trust: bool) -> tuple:
    """The run's data, and its model with the best weights."""
    data, model = saved.data_and_model(saved.config_of(folder))
    model.load_state_dict(saved.load(saved.best_checkpoint(folder), trust)["state_dict"])
    return data, model


def _confusion(path: Path, title: str):
    with path.open(newline="", encoding="utf-8") as file:
        (_, *names), *rows = csv.reader(file)
    return draw_counts([[int(n) for n in row[1:]] for row in rows], names, title)
