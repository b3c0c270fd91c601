"""Pictures of a sweep's best jobs: of those trained together no other has any, as they take as long as training a job.

Importing this does not take torch: a sweep's launcher is built before what was typed is checked.
"""

import json
import math
from pathlib import Path

from kindling.cli.monitor import direction
from kindling.training import load as saved
from kindling.training.tolerate import optional


def draw_best(folders: list[Path], jobs: int = 3) -> None:
    """Draw the pictures of the best jobs of a sweep, apart from those with pictures=none."""
    from kindling.plots.run_folder import draw

    with optional("pictures of the best jobs"):
        for folder in best(folders)[:jobs]:
            with optional(f"pictures of {folder.name}"):
                if saved.config_of(folder).get("pictures") != "none":
                    draw(folder)


def best(folders: list[Path]) -> list[Path]:
    """Return the folders of finished jobs with a defined score, the best first.

    Raises:
        ValueError: neither a result nor the monitored value's name tells whether a higher score is better.
    """
    scores = {}
    for folder in folders:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        score, mode = result.get("score"), result.get("mode")
        if result.get("status") != "finished" or score is None or not math.isfinite(score):
            continue
        if mode not in ("min", "max"):  # e.g. auto
            mode = direction(result.get("monitor") or "")
        if mode is None:
            raise ValueError(f"whether {result.get('monitor')} is better when higher is not known, say mode=...")
        scores[folder] = -score if mode == "max" else score
    return sorted(scores, key=scores.__getitem__)
