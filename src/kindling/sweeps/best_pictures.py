"""Pictures of a sweep's best jobs.

Drawing takes as long as training a job, so other jobs that are trained together have no pictures. Does not import
torch, because a sweep's launcher is built before the overrides are checked.
"""

import math
from pathlib import Path

from kindling.cli.folders.read import read_result
from kindling.cli.monitor import direction
from kindling.training.run_folder import config_of
from kindling.training.tolerate import optional


def draw_best(folders: list[Path], jobs: int = 3) -> None:
    """Draw pictures of the best jobs of a sweep, except those with pictures=none."""
    from kindling.plots.run_folder import draw

    with optional("pictures of the best jobs", interruptible=True):
        for folder in best(folders)[:jobs]:
            with optional(f"pictures of {folder.name}"):
                if config_of(folder).get("pictures") != "none":
                    draw(folder, test=False)


def best(folders: list[Path]) -> list[Path]:
    """Return the folders of finished jobs with a finite score, best first.

    Raises:
        ValueError: neither a result nor the name of the monitored value tells whether a higher score is better.
    """
    scores = {}
    for folder in folders:
        result = read_result(folder)
        score, mode = result.get("score"), result.get("mode")
        if result.get("status") != "finished" or score is None or not math.isfinite(score):
            continue
        if mode not in ("min", "max"):  # e.g. auto
            mode = direction(result.get("monitor") or "")
        if mode is None:
            raise ValueError(
                f"it is unknown whether a higher {result.get('monitor')} is better: set mode=max or mode=min"
            )
        scores[folder] = -score if mode == "max" else score
    return sorted(scores, key=scores.__getitem__)
