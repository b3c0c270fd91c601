"""Score the averaged predictions of a sweep's jobs.

The probabilities (for regression: the values) that the finished jobs predict for the test samples with their best
weights are averaged, and scored next to each job's own. Jobs may differ in everything but the data: seeds, models,
scaling, folds of the same samples. The result is written to ensemble.json in the sweep's folder. Hansen and Salamon
1990, "Neural network ensembles".
"""

import json
import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.cli.build import build
from kindling.files import write_json
from kindling.sweeps.leaderboard.jobs import Job, read_jobs
from kindling.training.load import best_checkpoint, config_of, load

if TYPE_CHECKING:
    from torch import Tensor

    from kindling.data.base import Data
    from kindling.models.base import Model

USAGE = "python -m kindling ensemble sweep=<sweep folder> [trust=true]"

# Options of the data in which members may differ, because the test samples and their targets are the same.
MEMBER_OPTIONS = (
    *("batch_size", "seed", "steps_per_execution", "passes", "features", "degree", "scale"),
    *("val_share", "folds", "fold"),
)


def ensemble(folder: Path, trust: bool = False) -> dict:
    """Score the members and their averaged predictions on the test samples, and write ensemble.json.

    Args:
        trust: open the jobs' checkpoints although that may execute code.

    Returns:
        "jobs": folders of the members; "rows": number of test samples; "members": name -> each member's value;
        "metrics": name -> the ensemble's value. The names are those of result.json: test/loss and so on.

    Raises:
        UserError: the folder has no sweep, fewer than two finished jobs, jobs on different data, or no test samples.
    """
    jobs = _members(folder)
    import torch

    from kindling.training.quiet import silence

    silence()
    loaded: dict[str, Any] = {}  # data sets by their config
    data, model = _trained(jobs[0], loaded, trust)
    y = data.samples["test"][1]
    if not len(y):
        raise UserError(f"{folder} has no test samples: set data.test_share, or use data with a test set.")
    preds, members = [], []
    for job in jobs:
        own_data, own_model = _trained(job, loaded, trust)
        if not torch.equal(own_data.samples["test"][1], y):
            raise UserError(f"{jobs[0].folder.name} and {job.folder.name} have different test samples: {DIFFERENT}.")
        preds.append(_predictions(own_model, own_data))
        members.append(scores(model, preds[-1], y))  # with the loss of the first model
    names = list(members[0])
    found = {
        "jobs": [job.folder.name for job in jobs],
        "rows": len(y),
        "members": {name: [member[name] for member in members] for name in names},
        "metrics": scores(model, torch.stack(preds).mean(0), y),
    }
    write_json(folder / "ensemble.json", found)
    return found


def scores(model: "Model", preds: "Tensor", y: "Tensor") -> dict[str, float | None]:
    """Return the model's metrics of probabilities or values (N, num_outputs); None if not finite."""
    from kindling.tasks import scoring

    task = model.task.name
    if task == "regression":
        logits = preds
    else:
        preds = preds.clamp(1e-15, 1 - 1e-15)  # bounds the loss of a wrong prediction with probability 1 to 35
        logits = preds.log() if task == "multiclass" else preds.logit()
    y = y.double() if y.is_floating_point() else y
    own, std = model.custom_metrics, model.target_std
    values = scoring.scores(model.task, model.loss, logits, y=y, target_std=std, custom=own)
    return {f"test/{name}": float(v) if math.isfinite(v) else None for name, v in values.items()}


def table(found: dict) -> str:
    """Format a row for every metric: the minimum, mean and maximum of the members' values, and the ensemble's value."""
    names = {name: name.removeprefix("test/") for name in found["metrics"]}
    left = max(map(len, names.values())) + 2
    lines = [f"{'':{left}}{'min':>10}{'mean':>10}{'max':>10}{'ensemble':>12}"]
    for name, short in names.items():
        values = [value for value in found["members"][name] if value is not None]
        cells = [min(values), statistics.fmean(values), max(values)] if values else [None] * 3
        lines.append(f"{short:{left}}" + "".join(_cell(cell).rjust(10) for cell in cells))
        lines[-1] += _cell(found["metrics"][name]).rjust(12)
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


DIFFERENT = "an ensemble needs jobs on the same data, e.g. a sweep over seeds or models"


def _members(folder: Path) -> list[Job]:
    """Return the sweep's finished jobs; reject fewer than two, and jobs on different data."""
    jobs = [job for job in read_jobs(folder) if job.status == "finished"]
    if len(jobs) < 2:
        raise UserError(
            f"{folder} has {len(jobs)} finished job{'s' * (len(jobs) != 1)}: an ensemble needs at least two."
        )
    _reject_different_data(jobs)
    return jobs


def _reject_different_data(jobs: list[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        seen.setdefault(_key(config_of(job.folder).data, MEMBER_OPTIONS), job)
    if len(seen) > 1:
        one, other = list(seen.values())[:2]
        raise UserError(f"{one.folder.name} and {other.folder.name} have different data: {DIFFERENT}.")


def _key(node: DictConfig, ignored: tuple[str, ...]) -> str:
    """Return a resolved config node as JSON, without the ignored options."""
    plain = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    return json.dumps({name: value for name, value in plain.items() if name not in ignored})


def _trained(job: Job, loaded: dict[str, Any], trust: bool) -> tuple["Data", "Model"]:
    """Return the job's data, built only once for equal configs, and its model with the best weights."""
    from kindling.data.base import Data, model_kwargs
    from kindling.models.base import Model

    cfg, best = config_of(job.folder), best_checkpoint(job.folder)
    key = _key(cfg.data, ("batch_size", "seed", "steps_per_execution"))
    data = loaded[key] = loaded.get(key) or build(cfg.data)
    model = build(cfg.model, **model_kwargs(data))
    if not isinstance(data, Data) or not isinstance(model, Model):
        raise UserError(
            f"{job.folder.name} does not use subclasses of Kindling's Data and Model, as an ensemble requires."
        )
    model.load_state_dict(load(best, trust)["state_dict"])
    return data, model.eval()


def _predictions(model: "Model", data: "Data") -> "Tensor":
    """Return probabilities or values (N, num_outputs) for the test samples, computed by the model and in float64."""
    import torch

    with torch.no_grad():
        logits = torch.cat([model(x) for x, *_ in data.loader("test", 1000)]).double()
    return model.task.probabilities(logits)


def main(args: list[str]) -> None:
    given = parse(args, USAGE)
    folder = Path(given["sweep"])
    found = ensemble(folder, given.get("trust") == "true")
    print(
        f"{len(found['jobs'])} members and the ensemble of their averaged predictions, {found['rows']:,} test samples"
    )
    print(table(found))
    print(f"written  {folder / 'ensemble.json'}")
