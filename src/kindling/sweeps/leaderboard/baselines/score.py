"""Score baselines on the same validation samples: a constant, a linear predictor, and trees on request.

The scores are cached in baselines.json, so that ranking again needs neither the data nor torch.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from kindling.cli.build import build
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.foreign import reject_foreign_config
from kindling.cli.folders.read import read_json, read_yaml, text_of
from kindling.files import write_json
from kindling.sweeps.leaderboard.baselines.trees import TREES, fit_trees
from kindling.sweeps.leaderboard.board import Board, Row
from kindling.sweeps.leaderboard.config_text import data_blocks, data_text, versions, without
from kindling.sweeps.leaderboard.jobs import Job
from kindling.training.tolerate import reason

if TYPE_CHECKING:
    from kindling.data.base import Data

MAX_VALUES = 20_000_000  # training input values; fitting a linear model to more takes minutes


def add_baselines(board: Board, trees: Sequence[str] = ()) -> None:
    """Add the baselines of every data set in the sweep to the board, and notes on those that are left out.

    Args:
        board: the ranked jobs.
        trees: additional baselines, see `tree_names`; those that were scored before are shown anyway.
    """
    cache = board.folder / "baselines.json"
    known = _read(cache)
    used: dict[str, dict] = {}
    for repetitions in _data_sets(board):
        entries = []
        for jobs in repetitions.values():
            text = data_text(text_of(jobs[0].folder / ".hydra" / "config.yaml"), board.metric)
            key = hashlib.sha256(f"{text}{board.metric}{versions(text)}".encode()).hexdigest()[:16]
            entry = used.get(key) or known.get(key)
            if not entry or set(trees) - set(entry.get("trees", [])):
                wanted = list(dict.fromkeys([*(entry or {}).get("trees", []), *trees]))
                entry = score_baselines(jobs[0].folder, board.metric, wanted) | {"trees": wanted}
            used[key] = entry
            entries.append(entry)
        board.notes += [note for entry in entries if (note := entry["note"]) and note not in board.notes]
        options = _identifying_options(board, [job for jobs in repetitions.values() for job in jobs])
        for name in dict.fromkeys(name for entry in entries for name in entry["baselines"]):
            results = [entry["baselines"][name] for entry in entries if name in entry["baselines"]]
            results = [result for result in results if result.get(board.metric) is not None]
            board.baselines += [Row(options, board.metric, results, finished=[], jobs=[], name=name)] if results else []
    if used != known:
        write_json(cache, used)


def _read(cache: Path) -> dict:
    """Return the cached scores without damaged ones, which are computed again."""
    try:
        known = read_json(cache)
    except Damaged:
        return {}
    return {key: entry for key, entry in known.items() if _is_valid(entry)}


def _is_valid(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("baselines"), dict):
        return False
    scores = [
        score for metrics in entry["baselines"].values() if isinstance(metrics, dict) for score in metrics.values()
    ]
    is_numeric = all(isinstance(score, int | float | None) for score in scores)
    return is_numeric and isinstance(entry.get("note"), str) and isinstance(entry.get("trees", []), list)


def _identifying_options(board: Board, jobs: list[Job]) -> dict[str, str]:
    """Return the values of the swept options that identify the data set of these jobs, and "" for all other options."""
    config = text_of(jobs[0].folder / ".hydra" / "config.yaml")
    of_data = {*data_blocks(config, board.metric), "experiment"}
    values = {option: {job.options.get(option, "") for job in jobs} for option in board.options}
    identifying = {option for option, found in values.items() if len(found) == 1 and option.split(".")[0] in of_data}
    return {option: min(found) if option in identifying else "" for option, found in values.items()}


def _data_sets(board: Board) -> list[dict[str, list[Job]]]:
    """Return for every data set its splits and folds: the data's part of the config, and the jobs that have it.

    Data sets that differ only in a scaling that comes with the model are one, with that of its best job.
    """
    same = ("scale",) if not {"scale", "data.scale"} & {*board.options} else ()
    found: dict[str, dict[str, list[Job]]] = {}
    for row in board.rows:
        for job in row.finished:
            config = job.folder / ".hydra" / "config.yaml"
            if config.is_file():
                text = without(data_text(text_of(config), board.metric), same)
                alike = without(text, ("fold", "split_seed"))
                found.setdefault(alike, {}).setdefault(text, []).append(job)
    return list(found.values())


def score_baselines(folder: Path, metric: str, trees: Sequence[str] = ()) -> dict:
    """Score the baselines of a run's data, with additional ones of `TREES`.

    Returns:
        "baselines": name -> metrics of the stage of `metric`; "note": what is left out and why, or "".
    """
    from kindling.data.base import Data

    try:
        cfg = read_yaml(folder / ".hydra" / "config.yaml")
        cfg.folder = str(folder)
        reject_foreign_config(cfg, folder)
        data = build(cfg.data)
        if not isinstance(data, Data):
            return _without(f"No baselines: {type(data).__name__} is not a subclass of kindling.data.base.Data.")
        data.setup()
        loss = (cfg.get("model") or {}).get("loss", "auto")
        return _baselines(data, metric, trees, loss=build(loss) if OmegaConf.is_dict(loss) else loss)
    except Exception as error:  # any error of the user's data, which the ranking does not need
        return _without(f"No baselines: {reason(error)}")


def _without(note: str) -> dict:
    return {"baselines": {}, "note": note}


def _baselines(data: "Data", metric: str, trees: Sequence[str], loss: Any) -> dict:
    from kindling.sweeps.leaderboard.baselines.linear import constant, fit_line, scores, with_quantiles

    facts, stage = data.model_kwargs(), metric.split("/")[0]
    if stage not in data.samples:
        return _without(f"No baselines: {metric} is defined by the model.")
    if not len(data.samples[stage][1]):
        return _without(f"No baselines: there are no {stage} samples.")
    (x, y), (x_eval, y_eval) = data.samples["train"], data.samples[stage]
    simple, linear = "majority class", "logistic regression"
    if facts["task"] == "regression":
        simple, linear = "quantiles" if data.quantiles else "mean", "linear regression"
    weights = data.weights.get("train")
    score = partial(scores, facts, loss, y=y_eval, stage=stage, weights=data.weights.get(stage))
    found = {simple: score(constant(facts, y).expand(len(y_eval), -1))}
    if weights is not None and metric.endswith("/loss"):  # of which another constant is the best
        found[simple] |= {metric: score(constant(facts, y, weights).expand(len(y_eval), -1))[metric]}
    if metric not in found[simple]:
        return _without(f"No baselines: {metric} is defined by the model.")
    if x.dim() > 2 or x.numel() > MAX_VALUES:
        why = "the inputs are images" if x.dim() > 2 else f"fitting {x.numel():,} input values would take minutes"
        left_out = " and ".join([linear, *(TREES[name] for name in trees)])
        return {"baselines": found, "note": f"No {left_out} as a baseline: {why}."}
    line = fit_line(facts, x, y, weights)
    preds = with_quantiles(facts, line(x_eval), y - line(x), weights) if data.quantiles else line(x_eval)
    found[linear] = score(preds)
    if trees and data.quantiles:
        return {"baselines": found, "note": f"No {' and '.join(TREES[name] for name in trees)}: they predict means."}
    found |= {TREES[name]: score(fit_trees(name, facts, (x, y), x_eval, weights)) for name in trees}
    return {"baselines": found, "note": ""}
