"""The predictions of a sweep's jobs for the validation and the test samples, from which an ensemble is selected.

Jobs may differ in everything but the data: seeds, models, scaling. The folds of a cross-validation form one candidate,
which predicts each validation sample with the model that was not trained on it, and others with the mean of its models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data
from kindling.data.preprocessing.transforms import target_scaling
from kindling.models.base import Model
from kindling.sweeps.leaderboard.config_text import SAME_SAMPLES
from kindling.sweeps.leaderboard.ensemble.samples import Samples, samples_of, targets_of
from kindling.sweeps.leaderboard.ensemble.sources import Sources, options_text
from kindling.sweeps.leaderboard.jobs import Job

# Options of the data in which jobs may differ, because the samples of each stage and their targets are the same.
MEMBER_OPTIONS = (*SAME_SAMPLES, "passes", "features", "degree", "scale", "fold")
DIFFERENT = "an ensemble needs jobs on the same data, e.g. a sweep over seeds or models"
SMALL = 1_000_000  # input values up to which several threads only wait for each other


@dataclass
class Library:
    """Predictions of C candidates, each one job or the jobs of all folds, for V sets of validation samples.

    Attributes:
        candidates: the jobs of each candidate, in the order of their folds.
        val: the validation samples of each fold; one set without folds.
        val_preds: (C, N, num_outputs) for each fold.
        test: the test samples.
        test_preds: (C, N, num_outputs).
        job_test_preds: (number of jobs, N, num_outputs), in the order of `jobs`.
    """

    candidates: list[list[Job]]
    val: list[Samples]
    val_preds: list[Tensor]
    test: Samples
    test_preds: Tensor
    job_test_preds: Tensor

    @property
    def jobs(self) -> list[Job]:
        return [job for candidate in self.candidates for job in candidate]

    @property
    def num_val(self) -> int:
        """The number of validation samples, of all folds."""
        return sum(len(samples.y) for samples in self.val)


def read_library(jobs: list[Job], trust: bool = False) -> Library:
    """Predict the validation and test samples with the best weights of each job.

    Raises:
        UserError: jobs on different data, or not of Kindling's data and models.
    """
    sources = Sources(trust)
    _reject_different_data(jobs, sources)
    candidates = _candidates(jobs, sources)
    first = [sources.data(job) for job in candidates[0]]
    models = [sources.scoring_model(job) for job in candidates[0]]
    val_preds: list[list[Tensor]] = [[] for _ in first]
    test_preds: list[list[Tensor]] = []
    for candidate in candidates:
        test_preds.append([])
        for fold, job in enumerate(candidate):
            data = sources.data(job)
            _reject_different_samples((candidates[0][fold], first[fold]), (job, data))
            with _few_threads(data):
                model = sources.model(job)
                val_preds[fold].append(_predictions(model, data, "val"))
                test_preds[-1].append(_predictions(model, data, "test"))
    return Library(
        candidates,
        [samples_of(data, model, "val") for data, model in zip(first, models, strict=True)],
        [torch.stack(preds) for preds in val_preds],
        test=samples_of(first[0], models[0], "test"),
        test_preds=torch.stack([torch.stack(preds).mean(0) for preds in test_preds]),
        job_test_preds=torch.stack([own for preds in test_preds for own in preds]),
    )


def _reject_different_data(jobs: list[Job], sources: Sources) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        seen.setdefault(options_text(sources.config(job).data, MEMBER_OPTIONS), job)
    if len(seen) > 1:
        one, other = list(seen.values())[:2]
        raise UserError(f"{one.folder.name} and {other.folder.name} have different data: {DIFFERENT}.")


def _candidates(jobs: list[Job], sources: Sources) -> list[list[Job]]:
    """Return the jobs of each candidate, in the order of their folds, without candidates that lack a fold."""
    found: dict[tuple, dict[int, Job]] = {}
    for job in jobs:
        data = sources.config(job).data
        options = {name: value for name, value in job.options.items() if name != "data.fold"}
        key = (*options.items(),) if data.get("folds") else (job.folder,)
        found.setdefault(key, {})[data.get("fold") or 0] = job
    folds = sorted({fold for variant in found.values() for fold in variant})
    complete = [variant for variant in found.values() if len(variant) == len(folds)]
    if not complete:
        raise UserError(f"No variant has finished in all of the folds {', '.join(map(str, folds))}: {DIFFERENT}.")
    return [[variant[fold] for fold in folds] for variant in complete]


def _reject_different_samples(one: tuple[Job, Data], other: tuple[Job, Data]) -> None:
    for stage, name in (("val", "validation"), ("test", "test")):
        first, second = targets_of(one[1], stage), targets_of(other[1], stage)
        if not torch.equal(first, second):
            raise UserError(
                f"{one[0].folder.name} and {other[0].folder.name} have different {name} samples: {DIFFERENT}."
            )


def _predictions(model: Model, data: Data, stage: str) -> Tensor:
    """Return probabilities, or values in the target's unit, (N, num_outputs), averaged later and so in float64."""
    if not data.number_of(stage):
        return torch.empty(0, 1, dtype=torch.float64)
    with torch.no_grad():
        logits = torch.cat([model(x) for x, *_ in data.loader(stage, 1000)]).double()
    preds = model.task.probabilities(logits)
    if model.task.name != "regression":
        return preds
    std, shift = target_scaling(data.transform, preds.shape[-1])
    return preds * std + shift


@contextmanager
def _few_threads(data: Data) -> Iterator[None]:
    threads = torch.get_num_threads()
    if sum(x.numel() for x, _ in (data.samples["val"], data.samples["test"])) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
