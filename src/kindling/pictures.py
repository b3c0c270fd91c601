"""An extra: pictures of a run that was trained without them: `python -m kindling.pictures run=<folder>`.

Of a sweep's jobs that are trained together only the best three have pictures, as one takes as long as training a job.
"""

import csv
import json
import sys
from pathlib import Path

from kindling import UserError

COUNTS = "confusion_matrix*.csv"


def draw_best(folders: list[Path], jobs: int = 3) -> None:
    """Draw the pictures of the best jobs of a sweep."""
    results = {folder: json.loads((folder / "result.json").read_text()) for folder in folders}
    scores = {f: r["score"] for f, r in results.items() if r["status"] == "finished" and r.get("score") is not None}
    sign = {folder: -1 if results[folder]["mode"] == "max" else 1 for folder in scores}
    for folder in sorted(scores, key=lambda folder: sign[folder] * scores[folder])[:jobs]:
        draw(folder)


def draw(folder: Path) -> list[Path]:
    """Draw what the run in `folder` has counted, as PNG beside the counts and for TensorBoard; those drawn now.

    Raises:
        UserError: there is no run.
    """
    if not (folder / "result.json").exists():
        raise UserError(f"run={folder} is no run folder (it has no result.json).")
    best_epoch, drawn = json.loads((folder / "result.json").read_text()).get("best_epoch"), []
    for path in sorted(folder.glob(COUNTS)):
        if not path.with_suffix(".png").exists():
            _confusion(path, best_epoch)
            drawn.append(path.with_suffix(".png"))
    return drawn


def _confusion(path: Path, best_epoch: int) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from kindling.confusion import draw as draw_counts

    with path.open(newline="") as file:
        (_, *names), *rows = csv.reader(file)
    stage = path.stem.removeprefix("confusion_matrix").strip("_") or "test"
    title = f"{stage} rows, best epoch ({best_epoch})"
    figure = draw_counts([[int(n) for n in row[1:]] for row in rows], names, title)
    figure.savefig(path.with_suffix(".png"))
    with SummaryWriter(str(path.parent)) as writer:
        writer.add_figure(f"confusion/{stage}", figure, best_epoch, close=False)


def main() -> None:
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    try:
        if set(words) != {"run"} or len(sys.argv) != 2:
            raise UserError("python -m kindling.pictures run=<run folder>")
        drawn = draw(Path(words["run"]))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print("\n".join(map(str, drawn)) or "every picture is there")


if __name__ == "__main__":
    main()
