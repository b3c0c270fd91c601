"""What predictors without a hidden layer reach on the same validation rows: a constant, and a line.

Kept in baselines.json, so that ranking again needs neither the data nor torch.
"""

import hashlib
import json
import re
from pathlib import Path

from omegaconf import OmegaConf

from kindling.cli.build import build
from kindling.files import PROJECT, write_json
from kindling.sweeps.leaderboard.board import Board, Row
from kindling.sweeps.leaderboard.jobs import Job
from kindling.training.tolerate import reason

MOST_VALUES = 20_000_000  # inputs to fit on; with more a line takes minutes


def add_baselines(board: Board) -> None:
    """Put the baselines on the board, a pair for every data set in the sweep, and notes on those that are left out."""
    cache = board.folder / "baselines.json"
    known = _read(cache)
    used: dict[str, dict] = {}
    for repetitions in _data_sets(board):
        entries = []
        for text, jobs in repetitions.items():
            key = hashlib.sha256(f"{text}{board.metric}{_versions(text)}".encode()).hexdigest()[:16]
            used[key] = used.get(key) or known.get(key) or scored(jobs[0].folder, board.metric)
            entries.append(used[key])
        board.notes += [note for entry in entries if (note := entry["note"]) and note not in board.notes]
        options = _telling(board, [job for jobs in repetitions.values() for job in jobs])
        for name in dict.fromkeys(name for entry in entries for name in entry["baselines"]):
            results = [entry["baselines"][name] for entry in entries if name in entry["baselines"]]
            results = [result for result in results if result.get(board.metric) is not None]
            board.baselines += [Row(options, board.metric, results, finished=[], jobs=[], name=name)] if results else []
    if used != known:
        write_json(cache, used)


def _read(cache: Path) -> dict:
    """Return what was kept; nothing where the file cannot be read, because it can be made again."""
    try:
        return json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _telling(board: Board, jobs: list[Job]) -> dict[str, str]:
    """Return the swept options that tell which data set these jobs use, with their value; "" for all others.

    The others are the jobs' own, which a baseline does not have.
    """
    config = (jobs[0].folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
    of_data = {*_blocks(config, board.metric), "experiment"}
    values = {option: {job.options.get(option, "") for job in jobs} for option in board.options}
    tells = {option for option, found in values.items() if len(found) == 1 and option.partition(".")[0] in of_data}
    return {option: min(found) if option in tells else "" for option, found in values.items()}


def _data_sets(board: Board) -> list[dict[str, list[Job]]]:
    """For every data set its splits and folds: what the config says of them, and the jobs that use them."""
    found: dict[str, dict[str, list[Job]]] = {}
    for row in board.rows:
        for job in row.finished:
            config = job.folder / ".hydra" / "config.yaml"
            if config.is_file():
                text = data_text(config.read_text(encoding="utf-8"), board.metric)
                alike = re.sub(r"^ +(fold|split_seed): .*\n", "", text, flags=re.MULTILINE)
                found.setdefault(alike, {}).setdefault(text, []).append(job)
    return list(found.values())


def data_text(config: str, metric: str) -> str:
    """What a config.yaml says of the data (and of the loss, if it is compared), with all that it refers to.

    Not by parsing the yaml, which would take seconds for a thousand jobs.
    """
    return "".join(_blocks(config, metric).values())


def _blocks(config: str, metric: str) -> dict[str, str]:
    """Return the top-level keys of a config.yaml that its data needs, with their text."""
    blocks = {m[1]: m[0] for m in re.finditer(r"^(\w+):.*\n(?:[ -].*\n)*", config + "\n", flags=re.MULTILINE)}
    blocks["data"] = re.sub(
        r"^  (batch_size|seed|steps_per_execution): .*\n", "", blocks.get("data", ""), flags=re.MULTILINE
    )
    loss = re.search(r"^  loss: .*\n", blocks.get("model", ""), flags=re.MULTILINE)
    blocks["data"] += loss[0] if loss and metric.endswith("/loss") else ""
    needed, found = ["data"], {}
    while needed:
        name = needed.pop(0)
        if name in blocks and name not in found:
            found[name] = blocks[name]
            needed += re.findall(r"\$\{(\w+)", blocks[name])
    return found


def _versions(text: str) -> list[str]:
    """Sizes and times of the files that the data's config names: with another table the baselines are others."""
    values = {value.strip("'\"") for value in re.findall(r": (\S{1,200})$", text, flags=re.MULTILINE)}
    paths = [path for value in sorted(values) for path in (Path(value), PROJECT / value) if path.is_file()]
    return [f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]


def scored(folder: Path, metric: str) -> dict:
    """Of a run's data: "baselines", name -> metrics of the stage of `metric`, and a "note" on what is left out."""
    from kindling.data.base import Data

    try:
        cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
        cfg.folder = str(folder)
        data = build(cfg.data)
        if not isinstance(data, Data):
            return {"baselines": {}, "note": f"No baselines: {type(data).__name__} is no kindling.data.base.Data."}
        data.setup()
        loss = (cfg.get("model") or {}).get("loss", "auto")
        return _baselines(data, metric, loss=build(loss) if OmegaConf.is_dict(loss) else loss)
    except Exception as error:  # of the user's data, whatever it is: the ranking does not need it
        return {"baselines": {}, "note": f"No baselines: {reason(error)}"}


def _baselines(data, metric: str, loss: str) -> dict:
    from kindling.models.linear_baseline import constant, fit_line, scores

    facts, stage = data.model_kwargs(), metric.split("/")[0]
    if stage not in data.samples:
        return {"baselines": {}, "note": f"No baselines: {metric} is a metric of the model's own."}
    if not len(data.samples[stage][1]):
        return {"baselines": {}, "note": f"No baselines: there are no {stage} rows."}
    (x, y), rows = data.samples["train"], data.samples[stage]
    named = (
        ("mean", "linear regression") if facts["task"] == "regression" else ("majority class", "logistic regression")
    )
    found = {named[0]: scores(facts, loss, constant(facts, y).expand(len(rows[1]), -1), y=rows[1], stage=stage)}
    if metric not in found[named[0]]:
        return {"baselines": {}, "note": f"No baselines: {metric} is a metric of the model's own."}
    if x.dim() > 2 or x.numel() > MOST_VALUES:
        why = "the inputs are images" if x.dim() > 2 else f"{x.numel():,} input values would take minutes"
        return {"baselines": found, "note": f"No {named[1]} as a baseline: {why}."}
    found[named[1]] = scores(facts, loss, fit_line(facts, x, y)(rows[0]), y=rows[1], stage=stage)
    return {"baselines": found, "note": ""}
