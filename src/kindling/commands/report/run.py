"""The report of a run."""

from collections.abc import Iterator
from pathlib import Path

from kindling.cli.folders.read import read_config, read_counts
from kindling.cli.monitor import split
from kindling.commands.report.page import code, folded, image, lines, page, paragraph, section, table
from kindling.files import BEST, LAST
from kindling.plots.save import png
from kindling.sweeps.leaderboard.baselines.score import score_baselines
from kindling.sweeps.leaderboard.write import value_of
from kindling.training.checkpoint_files import load_best
from kindling.training.metrics_file import read_metrics
from kindling.training.result import loss_note, number
from kindling.training.tolerate import optional

STAGES = ("train", "val", "test")
CAPTIONS = {  # start of a file's name -> caption
    "confusion_matrix": "How often each true class (row) was predicted as each class (column), with row shares.",
    "data": "The target and the columns of the table: distributions, and the share of missing values.",
    "curves": "Ranking of the samples by predicted probability (ROC, precision-recall), and calibration.",
    "surface": "Predictions as a function of two inputs, with samples.",
    "plane": "Predictions as a function of two inputs in 3D: the height is the prediction.",
    "neurons": "Output of each neuron as a function of the inputs.",
    "curve": "Predictions as a function of the input, with samples.",
    "path": "Training loss as a function of the two weights of the model, and the path of training.",
    "filters": "Weights of the first layer as images.",
    "wrong": "The wrong predictions with the highest probability.",
    "regression": "Predicted vs. true values, and residuals.",
}
DRAW = "No pictures yet. To draw them, run: python -m kindling pictures run={}"


def run_page(folder: Path, result: dict) -> str:
    """Return the report of a run; what its folder lacks, such as metrics.csv, is left out."""
    read_config(folder)  # raises UserError
    config = (folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    return page(
        folder.resolve().name,
        paragraph(_summary(result)),
        code(result["command"]),
        section("Result", *_results(folder, result)),
        section("Advice", lines(result.get("advice", []))),
        section("Epoch by epoch", _curves(folder, result["best_epoch"])),
        section("Confusion", *confusion(folder)),
        section("Pictures", *pictures(folder)),
        section("Config", folded("config.yaml", code(config)), _made_with(result)),
    )


def _summary(result: dict) -> str:
    why, metrics = result.get("diverged") or result.get("error"), result["metrics"]
    status = "was interrupted" if result["status"] == "interrupted" else result["status"]
    epochs = f"{result['epochs']} epoch{'s' * (result['epochs'] != 1)}"
    ended = f"The run {status} after {epochs} and {result['seconds']:.1f} s"
    ended += f": {why}." if why else "."
    if result["best_epoch"] is None:
        return f"{ended} It has no best epoch."
    ended += f" Its best epoch is {result['best_epoch']}, with {result['monitor']} {number(result['score'])}"
    names = [name for name in ("test/accuracy", "test/r2", "test/loss") if metrics.get(name) is not None]
    tested = " and ".join(f"{name.removeprefix('test/')} {number(metrics[name])}" for name in names)
    return f"{ended}; on the test samples it reaches {tested}." if tested else f"{ended}."


def pictures(folder: Path) -> Iterator[str]:
    """Yield the pictures in the folder except confusion matrices, or else how to draw them."""
    files = [file for file in sorted(folder.glob("*.png")) if not file.name.startswith("confusion_matrix")]
    for file in files:
        yield image(file, caption(file.stem))
    if not files and (folder / BEST).exists():
        yield paragraph(DRAW.format(folder))


def caption(name: str) -> str:
    """Return the caption of a picture, given its file name."""
    starts = [start for start in CAPTIONS if name.startswith(start)]
    return CAPTIONS[max(starts, key=len)] if starts else name


def _results(folder: Path, result: dict) -> Iterator[str]:
    metrics = result["metrics"]
    if not metrics:
        return
    places = {}
    for name in metrics:
        places[(None, name) if split(name) in places else split(name)] = name  # val_loss next to val/loss
    stages = [stage for stage in (*STAGES, None) if any(place[0] == stage for place in places)]
    names = list(dict.fromkeys(short for _, short in places))
    rows = [[name, *(value_of(metrics, places.get((stage, name), "")) for stage in stages)] for name in names]
    yield table([["", *(stage or "logged" for stage in stages)], *rows])
    if note := loss_note(metrics, _target_std(folder)):
        yield paragraph(note + ".")
    if stages[-1] is None:
        return
    found = score_baselines(folder, f"{stages[-1]}/loss")
    if found["baselines"]:
        yield paragraph(f"Comparison with models without hidden layers, on the {stages[-1]} samples:")
        models = {"this run": metrics, **found["baselines"]}
        cells = [[model, *(value_of(m, f"{stages[-1]}/{name}") for name in names)] for model, m in models.items()]
        yield table([["", *names], *cells])
    if found["note"]:
        yield paragraph(found["note"])


def _target_std(folder: Path) -> list[float] | None:
    """Return the standard deviations by which the run divided its targets, or None without a checkpoint."""
    has_weights = (folder / BEST).is_file() or (folder / LAST).is_file()
    return load_best(folder).get("hyper_parameters", {}).get("target_std") if has_weights else None


def _curves(folder: Path, best_epoch: int | None) -> str:
    if not (folder / "metrics.csv").is_file() and not (folder / LAST).is_file():
        return ""
    rows = read_metrics(folder)
    with optional("curves"):
        from kindling.plots.curves import draw_curves

        figure = draw_curves(rows, best_epoch)
        return image(png(figure), "Metrics of every epoch; the vertical line is the best epoch.") if figure else ""
    return ""


def confusion(folder: Path) -> Iterator[str]:
    """Yield each confusion matrix as a picture or, without one, as a table."""
    for file in sorted(folder.glob("confusion_matrix*.csv")):
        stage = file.stem.removeprefix("confusion_matrix").strip("_") or "test"
        if file.with_suffix(".png").exists():
            yield image(file.with_suffix(".png"), f"{stage} samples. {CAPTIONS['confusion_matrix']}")
        else:
            names, rows = read_counts(file)
            counts = table([["true", *names], *([name, *map(str, row)] for name, row in zip(names, rows, strict=True))])
            yield paragraph(f"{stage} samples; rows are true classes, columns are predicted classes:") + counts


def _made_with(result: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return paragraph(versions + (f", commit {result['git']}" if result.get("git") else ""))
