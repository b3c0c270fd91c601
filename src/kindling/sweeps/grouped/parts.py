"""What train.py builds for a job, built from its plain config."""

from collections.abc import Callable

import pytorch_lightning as pl
from omegaconf import OmegaConf

from kindling.cli.build import build
from kindling.data.base import Data
from kindling.models.base import Model
from kindling.models.noise import seed_noise
from kindling.sweeps.compose import Job


def maker(job: Job, data: Data) -> Callable[[], Model]:
    """Makes the job's model; Hydra's part of it, the longest, is done once."""
    return build(OmegaConf.create({**job.resolved["model"], "_partial_": True}), **data.model_kwargs())


def start_net(job: Job, make: Callable[[], Model]) -> Model:
    """The model with the start weights of the job's seed, as train.py makes it."""
    pl.seed_everything(job.resolved["seed"], verbose=False)
    model = make()
    seed_noise(model, job.resolved["seed"])
    for callback in callbacks_of(job, "init"):
        callback.setup(None, model, "fit")
    return model


def callbacks_of(job: Job, *names: str) -> list[pl.Callback]:
    nodes = [job.resolved["callbacks"].get(name) for name in names]
    return [callback for node in nodes if node and (callback := build(OmegaConf.create(node)))]


def patience_of(job: Job) -> int | None:
    return (job.resolved["callbacks"].get("early_stopping") or {}).get("patience")
