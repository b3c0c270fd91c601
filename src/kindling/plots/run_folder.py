"""Draw the pictures of a run that has ended."""

import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.tensorboard import SummaryWriter

from kindling import UserError
from kindling.cli.folders.read import read_counts, read_result
from kindling.data.base import Data
from kindling.files import BEST, LAST, reject_links, write_atomically
from kindling.models.base import Model
from kindling.models.probabilities import divide_logits
from kindling.plots.confusion_matrix import draw as draw_counts
from kindling.plots.figures import model_figures, sample_figures, stage_predictions, without_test
from kindling.plots.save import is_png, picture, png
from kindling.plots.style import style
from kindling.training.checkpoint_files import load_best
from kindling.training.run_folder import config_of, data_and_model
from kindling.training.tolerate import optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("kindling")

COUNTS = "confusion_matrix*.csv"


def draw(folder: Path, columns: tuple[str, str] | None = None, trust: bool = False, test: bool = True) -> list[Path]:
    """Draw the missing pictures of a run, as PNG files in its folder and for TensorBoard, and return the new files.

    Args:
        columns: two columns of a table over which the surface is drawn; not needed if the table has only two.
        trust: open the checkpoint although that may execute code.
        test: draw pictures of the test samples if the run was tested.

    Raises:
        UserError: the folder has no run, its result cannot be read, or there are no such columns.
    """
    if not (folder / "result.json").exists():
        raise UserError(f"run={folder} is not a run folder (it has no result.json).")
    epoch = read_result(folder).get("best_epoch") or 0
    reject_links(folder)
    matrices = {path: read_counts(path) for path in sorted(folder.glob(COUNTS))}
    drawn = []
    with SummaryWriter(str(folder)) as writer:
        for tag, file, draw_figure in _figures(folder, epoch, columns, matrices=matrices, trust=trust, test=test):
            with optional(f"picture {tag}"):
                figure = draw_figure()
                if figure is not None:
                    content = png(figure)
                    writer.file_writer.add_summary(picture(tag, content), epoch)
                    writer.flush()  # a picture whose file exists is not drawn again
                    write_atomically(file, content)
                    drawn.append(file)
    return drawn


def _figures(
    folder: Path, epoch: int, columns: tuple[str, str] | None, matrices: dict[Path, Any], trust: bool, test: bool
) -> Iterator[tuple[str, Path, Callable[[], "Figure | None"]]]:
    """Yield (tag, file, function that draws) for pictures whose file is missing."""
    for path, (names, counts) in matrices.items():
        if not is_png(path.with_suffix(".png")):
            stage = path.stem.removeprefix("confusion_matrix").strip("_") or "test"
            title = f"{stage} samples, best epoch ({epoch})"
            yield f"confusion/{stage}", path.with_suffix(".png"), partial(draw_counts, counts, names, title)
    if not (folder / BEST).exists() and not (folder / LAST).exists():
        return
    cfg = config_of(folder, trust)
    data, model = data_and_model(cfg)
    checkpoint = load_best(folder, trust)
    model.load_state_dict(checkpoint["state_dict"])
    if not isinstance(model, Model) or not isinstance(data, Data):
        return
    counted = f"confusion_matrix_{without_test(data)}.csv"
    is_counted = cfg.get("callbacks", {}).get("confusion") and model.task.name in ("binary", "multiclass")
    if is_counted and folder / counted not in matrices:
        log.warning(f"{folder / counted} does not exist; to write it again:  python train.py resume={folder}")
    if "temperature" in checkpoint:
        divide_logits(model, checkpoint["temperature"])
    suffix = re.sub(r"[^\w.+-]+", "-", "_".join(["", *columns])) if columns else ""
    tested = folder / "confusion_matrix.csv" in matrices or "test/loss" in read_result(folder).get("metrics", {})
    stage = "test" if test and tested else without_test(data)
    title = f"best epoch ({epoch})"
    drawings = [("/best", *drawing) for drawing in model_figures(model, data, title, columns=columns)]
    with optional(f"pictures of the {stage} samples"):
        drawings += [("", *drawing) for drawing in sample_figures(data, stage, stage_predictions(model, data, stage))]
    with style():
        for kind, name, draw_figure in drawings:
            file = folder / f"{name.replace('/', '_')}{suffix if name in ('surface', 'plane', 'neurons') else ''}.png"
            if not is_png(file):
                yield f"{name}{suffix if kind else ''}{kind}", file, draw_figure
