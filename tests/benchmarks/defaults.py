"""Make a table of default runs: `python train.py data=... model=...` for every sensible pair, in separate processes.

    python tests/benchmarks/defaults.py            # about 6 minutes on two cores
    python tests/benchmarks/defaults.py ring mnist # only these data sets

A cell has the test score of the best weights +- its standard error over the test samples (accuracy:
sqrt(p (1 - p) / n); mean absolute error: standard deviation / sqrt(n)), and the seconds of the whole command.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from kindling.cli.build import build

PROJECT = Path(__file__).parents[2]
TABLES = ["diabetes", "blobs", "ring", "xor", "spiral", "line", "polynomial", "dates", "linear9", "credit"]
IMAGES = ["mnist_sample", "mnist", "fashion_mnist"]
MODELS = ["linear", "wide", "deep", "wide_deep", "cnn"]


def cell(data: str, model: str) -> str:
    overrides = [f"data={data}", f"model={model}"]
    folder = Path(tempfile.mkdtemp()) / "run"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, str(PROJECT / "train.py"), *overrides, f"hydra.run.dir={folder}"],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    metrics = json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]
    if "test/accuracy" in metrics:
        value, n = metrics["test/accuracy"], _num_test(overrides)
        return f"{value:.1%} ± {(value * (1 - value) / n) ** 0.5:.1%}, {seconds:.0f} s"
    errors = _errors(overrides, folder)
    assert abs(errors.mean().item() - metrics["test/mae"]) < 1e-4 * errors.mean().item() + 1e-6
    return f"MAE {errors.mean():.2g} ± {errors.std() / len(errors) ** 0.5:.1g}, {seconds:.0f} s"


def _built(overrides: list[str]):
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    data = build(cfg.data)
    return data, build(cfg.model, **data.model_kwargs())


def _num_test(overrides: list[str]) -> int:
    return len(_built(overrides)[0].samples["test"][1])


def _errors(overrides: list[str], folder: Path) -> torch.Tensor:
    """Return the absolute errors of the test samples, in the target's unit."""
    data, model = _built(overrides)
    model.load_state_dict(torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"])
    x, y = data.samples["test"]
    with torch.no_grad():
        return (model.eval()(x) - y).abs().flatten() * data.transform["target_std"][0]


def main() -> None:
    print(
        "| data |", " | ".join(f"`{model}`" for model in MODELS), "|\n|", " | ".join(["---"] * (len(MODELS) + 1)), "|"
    )
    for data in sys.argv[1:] or TABLES + IMAGES:
        sensible = [model != "cnn" or data in IMAGES for model in MODELS]
        cells = [cell(data, model) if fits else "" for model, fits in zip(MODELS, sensible, strict=True)]
        print(f"| `{data}` |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
