"""Score the mean of the answers of a sweep's jobs.

Each finished job, with its best weights, answers the test rows; the mean of their probabilities (regression: of their
values) is scored beside them. Jobs may differ in all but the data: seeds, models, scaling, folds of the same rows. The
outcome is ensemble.json in the sweep's folder. Hansen and Salamon 1990, "Neural network ensembles".
"""

import json
import math
import statistics
from pathlib import Path

from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.cli.build import build
from kindling.files import write_json
from kindling.sweeps.leaderboard.jobs import Job, read_jobs
from kindling.training import load as saved

USAGE = "python -m kindling ensemble sweep=<sweep folder> [trust=true]"

# What members may differ in: the test rows are the same, and what the model makes of them is compared.
OWN = (
    "batch_size",
    "seed",
    "steps_per_execution",
    "passes",
    "features",
    "degree",
    "scale",
    "val_share",
    "folds",
    "fold",
)


def ensemble(folder: Path, trust: bool = False) -> dict:
    """Score the members and their mean on the test rows, and write ensemble.json.

    Args:
        trust: open the jobs' checkpoints although that may run code.

    Returns:
        "jobs": folders of the members; "rows": number of test rows; "members": name -> each one's value; "metrics":
        name -> the mean's value. The names are those of result.json: test/loss and so on.

    Raises:
        UserError: it is no sweep, has fewer than two finished jobs, jobs on different data, or no test rows.
    """
    jobs = _members(folder)
    import torch

    from kindling.training.quiet import silence

    silence()
    loaded: dict[str, object] = {}  # data sets by their config
    preds, members, first = [], [], ()
    for job in jobs:
        data, model = _trained(job, loaded, trust)
        y = data.samples["test"][1]
        if not len(y):
            raise UserError(f"{folder} has no test rows to score: its data keeps none apart (data.test_share).")
        first = first or (model, y)
        if not torch.equal(y, first[1]):
            raise UserError(f"{jobs[0].folder.name} and {job.folder.name} have different test rows: {DIFFERENT}.")
        preds.append(_predictions(model, data))
        members.append(scores(first[0], preds[-1], y))  # all by one loss
    names = list(members[0])
    found = {
        "jobs": [job.folder.name for job in jobs],
        "rows": len(first[1]),
        "members": {name: [member[name] for member in members] for name in names},
        "metrics": scores(first[0], torch.stack(preds).mean(0), first[1]),
    }
    write_json(folder / "ensemble.json", found)
    return found


def scores(model, preds, y) -> dict[str, float | None]:
    """Metrics of probabilities or values (N, num_outputs), as the model itself has them; None where not finite."""
    from kindling.tasks import scoring

    task = model.task.name
    if task == "regression":
        logits = preds
    else:
        preds = preds.clamp(1e-15, 1 - 1e-15)  # the loss of a certain mistake is then 35, not infinite
        logits = preds.log() if task == "multiclass" else preds.logit()
    y = y.double() if y.is_floating_point() else y
    own, std = model.custom_metrics, model.target_std
    values = scoring.scores(model.task, model.loss, logits, y=y, target_std=std, custom=own)
    return {f"test/{name}": float(v) if math.isfinite(v) else None for name, v in values.items()}


def table(found: dict) -> str:
    """A row for every metric: the members' least, mean and largest value, and that of their mean answer."""
    names = {name: name.removeprefix("test/") for name in found["metrics"]}
    left = max(map(len, names.values())) + 2
    lines = [f"{'':{left}}{'least':>10}{'mean':>10}{'most':>10}{'together':>12}"]
    for name, short in names.items():
        values = [value for value in found["members"][name] if value is not None]
        cells = [min(values), statistics.fmean(values), max(values)] if values else [None] * 3
        together = found["metrics"][name]
        lines.append(f"{short:{left}}" + "".join(_cell(cell).rjust(10) for cell in cells))
        lines[-1] += _cell(together).rjust(12)
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


DIFFERENT = "a mean is of jobs on the same data, so give a sweep over seeds or models"


def _members(folder: Path) -> list[Job]:
    """Return the sweep's finished jobs; refuse fewer than two, and those on different data."""
    jobs = [job for job in read_jobs(folder) if job.status == "finished"]
    if len(jobs) < 2:
        raise UserError(f"{folder} has {len(jobs)} finished job{'s' * (len(jobs) != 1)}: a mean takes two or more.")
    _refuse_different_data(jobs)
    return jobs


def _refuse_different_data(jobs: list[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        data = OmegaConf.to_container(saved.config_of(job.folder).data, resolve=True)
        seen.setdefault(json.dumps({key: value for key, value in data.items() if key not in OWN}), job)
    if len(seen) > 1:
        one, other = list(seen.values())[:2]
        raise UserError(f"{one.folder.name} and {other.folder.name} have different data: {DIFFERENT}.")


def _trained(job: Job, loaded: dict, trust: bool) -> tuple:
    """The job's data, built once for all that have the same, and its model with the best weights."""
    from kindling.data.base import Data, model_kwargs
    from kindling.models.base import Model

    cfg, best = saved.config_of(job.folder), saved.best_checkpoint(job.folder)
    node = OmegaConf.to_container(cfg.data, resolve=True)
    key = json.dumps(
        {name: value for name, value in node.items() if name not in ("batch_size", "seed", "steps_per_execution")}
    )
    data = loaded[key] = loaded.get(key) or build(cfg.data)
    model = build(cfg.model, **model_kwargs(data))
    if not isinstance(data, Data) or not isinstance(model, Model):
        raise UserError(f"{job.folder.name} is not made of a kindling.data.base.Data and a kindling.models.base.Model.")
    model.load_state_dict(saved.load(best, trust)["state_dict"])
    return data, model.eval()


def _predictions(model, data):
    """Probabilities or values (N, num_outputs) for the test rows, in 64 bits from the model's own precision on."""
    import torch

    with torch.no_grad():
        logits = torch.cat([model(x) for x, _ in data.loader("test", 1000)]).double()
    return model.task.probabilities(logits)


def main(words: list[str]) -> None:
    given = parse(words, USAGE)
    folder = Path(given["sweep"])
    found = ensemble(folder, given.get("trust") == "true")
    print(f"{len(found['jobs'])} members, and the mean of their answers together, on {found['rows']:,} test rows")
    print(table(found))
    print(f"written  {folder / 'ensemble.json'}")
