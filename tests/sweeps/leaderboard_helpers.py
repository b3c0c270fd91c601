"""Write the folders of jobs that were never trained."""

import json
from pathlib import Path

from omegaconf import OmegaConf

TESTED = {"test/loss": 0.5, "test/accuracy": 0.75}


def job_writer(sweep: Path):
    """Return a function that writes and returns a job's folder: job("activation=relu", "seed=0", score=0.5)."""

    def write(*args: str, score: float | None = None, status="finished", config=None, **more) -> Path:
        folder = sweep / ("_".join(args).replace("/", "-") or "job")
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(["test=false", *args]))
        if config is not None:
            OmegaConf.save(config, folder / ".hydra" / "config.yaml")
        metric = more.get("monitor", "val/loss")
        metrics = {metric: score, "train/loss": 0.3, **TESTED, **more.pop("metrics", {})}
        result = {"status": status, "seconds": 2.0, "score": score, "monitor": metric, "mode": "min", "params": 33}
        command = " ".join(["python train.py", *args])
        (folder / "result.json").write_text(json.dumps({**result, "metrics": metrics, "command": command, **more}))
        return folder

    return write
