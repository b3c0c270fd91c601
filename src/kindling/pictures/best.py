"""Pictures of a sweep's best jobs: of those trained together no other has any, as they take as long as training a job.

Importing this does not take torch: a sweep's launcher is built before what was typed is checked.
"""

import json
from pathlib import Path

from kindling import saved


def draw_best(folders: list[Path], jobs: int = 3) -> None:
    """Draw the pictures of the best jobs of a sweep, but of those with pictures=none."""
    from kindling.pictures.folder import draw

    results = {folder: json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in folders}
    scores = {f: r["score"] for f, r in results.items() if r["status"] == "finished" and r.get("score") is not None}
    sign = {folder: -1 if results[folder]["mode"] == "max" else 1 for folder in scores}
    for folder in sorted(scores, key=lambda folder: sign[folder] * scores[folder])[:jobs]:
        if saved.config_of(folder).get("pictures") != "none":
            draw(folder)
