"""Folds seeds, and ranks what is left."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kindling import UserError
from kindling.cli.monitor import direction, split
from kindling.sweeps.leaderboard.jobs import FOLDED, Job, swept

AMBIGUOUS_VALUES = {"none", "null", "true", "false", "auto", "default"}  # say nothing without their knob


@dataclass
class Row:
    """One variant: the jobs that differ in seed, fold or split alone; or a baseline, which has no jobs."""

    options: dict[str, str]
    metric: str  # that is ranked
    results: list[dict[str, float | None]]  # metrics of each repetition that has a finite score
    finished: list[Job]  # those jobs
    jobs: list[Job]  # also those that have none
    name: str = ""  # of a baseline

    @property
    def scores(self) -> list[float]:
        return [result[self.metric] for result in self.results]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float | None:
        """The sample's; None of a single score."""
        return statistics.stdev(self.scores) if len(self.results) > 1 else None

    @property
    def count(self) -> str:
        n, of = len(self.results), len(self.jobs)
        return str(n) if self.name or n == of else f"{n} of {of}"

    @property
    def others(self) -> dict[str, float | None]:
        """Means of the other metrics of the same stage; None where one is undefined in a repetition."""
        stage = split(self.metric)[0]
        names = [name for name in self.results[0] if split(name)[0] == stage and name != self.metric]
        columns = {name: [result.get(name) for result in self.results] for name in names}
        return {name: None if None in values else statistics.fmean(values) for name, values in columns.items()}

    @property
    def params(self) -> int | None:
        return self.finished[0].result.get("params") if self.finished else None

    @property
    def seconds(self) -> float | None:
        return None if self.name else sum(job.result.get("seconds") or 0 for job in self.jobs)

    def best_job(self, mode: str) -> Job:
        pick = max if mode == "max" else min
        return self.finished[pick(range(len(self.results)), key=self.scores.__getitem__)]


@dataclass
class Board:
    """The jobs of a sweep, ranked by the monitored metric; baselines and notes are added later."""

    folder: Path
    jobs: list[Job]
    options: list[str]  # swept, without the folded ones
    folded: list[str]  # swept
    metric: str
    mode: str
    rows: list[Row]  # best first
    unranked: list[Job]
    ambiguous: set[str]  # values that more than one knob may have
    baselines: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """The other metrics' names."""
        return list(dict.fromkeys(name for row in [*self.rows, *self.baselines] for name in row.others))

    def label(self, options: dict[str, str]) -> str:
        """A variant in words, `tanh depth=2`: with the knob's name where the value alone does not say enough."""
        words = []
        for key, value in options.items():
            plain = value.replace("_", "").isalpha() and value not in self.ambiguous
            words += [value if plain else f"{key}={value}"] if value else []
        return " ".join(words) or ("the default" if options else "the only variant")


def rank(folder: Path, jobs: list[Job]) -> Board:
    """Fold, score and sort the jobs.

    Raises:
        UserError: whether a higher score is better is not known.
    """
    differing = swept(jobs)
    options, folded = ([key for key in differing if (key in FOLDED) == fold] for fold in (False, True))
    metric, mode = _watched(jobs)
    groups: dict[tuple, list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(job.options.get(key, "") for key in options), []).append(job)
    rows, unranked = [], []
    for values, members in groups.items():
        scored = [(job, score) for job in members if (score := _score(job, metric)) is not None]
        finished, results = [job for job, _ in scored], [{**job.metrics, metric: score} for job, score in scored]
        rows += (
            [Row(dict(zip(options, values, strict=True)), metric, results, finished=finished, jobs=members)]
            if scored
            else []
        )
        unranked += [job for job in members if job not in finished]
    for job in unranked:
        job.reason = job.reason or ("" if job.status != "finished" else f"it has no finite {metric}")
    rows.sort(key=lambda row: row.mean, reverse=mode == "max")
    uses = Counter(value for _, value in {(key, job.options.get(key, "")) for job in jobs for key in options})
    ambiguous = AMBIGUOUS_VALUES | {value for value, number in uses.items() if number > 1}
    return Board(
        folder,
        jobs,
        options,
        folded=folded,
        metric=metric,
        mode=mode,
        rows=rows,
        unranked=unranked,
        ambiguous=ambiguous,
    )


def _watched(jobs: list[Job]) -> tuple[str, str]:
    """The metric to rank by, which is the training rows' loss where there are no validation rows; min or max."""
    named = next((job.result for job in jobs if job.result.get("monitor")), {})
    metric = named.get("monitor", "val/loss")
    mode = named["mode"] if named.get("mode") in ("min", "max") else direction(metric)
    if mode is None:
        raise UserError(
            f"The jobs' results do not say whether a higher {metric} is better: train them with mode=min or mode=max."
        )
    there = {name for job in jobs for name in job.metrics}
    without_validation = metric not in there and "train/loss" in there
    return ("train/loss", "min") if without_validation else (metric, mode)


def _score(job: Job, metric: str) -> float | None:
    """The job's value of the metric at its best epoch; None if it did not finish or has none that is finite."""
    if job.status != "finished":
        return None
    own = job.result.get("monitor") or metric  # a job may have watched another metric
    score = job.result.get("score") if own == metric else job.metrics.get(metric)
    return score if score is not None and math.isfinite(score) else None
