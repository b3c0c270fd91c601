"""Build what train.py builds for a job, from the job's resolved config."""

from collections.abc import Callable

import pytorch_lightning as pl
from omegaconf import OmegaConf

from kindling.cli.build import build
from kindling.data.base import Data
from kindling.models.base import Model
from kindling.models.noise import seed_noise
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.rates import Schedule


def model_factory(job: Job, data: Data) -> Callable[[], Model]:
    """Return a function that makes the job's model; Hydra's part, which takes longest, is done only once."""
    return build(OmegaConf.create({**job.resolved["model"], "_partial_": True}), **data.model_kwargs())


def initial_model(job: Job, make: Callable[[], Model], init: list[pl.Callback]) -> Model:
    """Make the model with the initial weights of the job's seed, as train.py does.

    Args:
        job: the job.
        make: see `model_factory`.
        init: `callbacks_of(job, "init")`, or those of a job with the same config.
    """
    pl.seed_everything(job.resolved["seed"], verbose=False)
    model = make()
    seed_noise(model, job.resolved["seed"])
    for callback in init:
        callback.setup(None, model, "fit")  # type: ignore[arg-type]  # there is no trainer yet, and it uses none
    return model


def callbacks_of(job: Job, *names: str) -> list[pl.Callback]:
    nodes = [job.resolved["callbacks"].get(name) for name in names]
    return [callback for node in nodes if node and (callback := build(OmegaConf.create(node)))]


def schedule_of(job: Job) -> Schedule | None:
    node = job.resolved["callbacks"].get("schedule")
    return build(OmegaConf.create(node)) if node else None


def patience_of(job: Job) -> int | None:
    return (job.resolved["callbacks"].get("early_stopping") or {}).get("patience")
