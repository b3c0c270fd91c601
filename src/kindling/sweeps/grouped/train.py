"""Trains a group of jobs as one LightningModule, and has their folders written."""

import logging
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from kindling.cli.build import build
from kindling.data.base import Data
from kindling.files import replacing
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.grouping import Group, optimizer_key
from kindling.sweeps.grouped.leave import leave
from kindling.sweeps.grouped.loader import MembersLoader, Shared
from kindling.sweeps.grouped.members import Loss, Members, batched, in_parts
from kindling.sweeps.grouped.parts import callbacks_of, maker, patience_of, start_net
from kindling.sweeps.grouped.rates import Rates
from kindling.sweeps.grouped.stack import Stack, weights_of
from kindling.sweeps.grouped.tracker import Watch
from kindling.sweeps.grouped.update import Member, Part
from kindling.sweeps.grouped.write import write_members
from kindling.training.divergence import constant_loss
from kindling.training.load import load
from kindling.training.quiet import silence
from kindling.training.saving import PeriodicCheckpoint
from kindling.training.scores import mode_of
from kindling.training.trainer import choose_threads

log = logging.getLogger("kindling")

# As training.trainer.SHORT, of all members. Batched products of small matrices take longer for each multiply-add: with
# two threads a step of 1,000 nets 8-6-4-1 takes 1.8 ms and not 3.0, of 100 nets 2-25-25-1 0.63 and not 0.79.
SHORT_TOGETHER = 1_000_000


def train(group: Group, folder: Path) -> None:
    """Train all members, or go on from the group's checkpoint, and write those folders that are not there yet.

    Members that have ended leave where the others are trained faster without them.

    Raises:
        KeyboardInterrupt: at a signal; the group's checkpoint is written then.
    """
    started, first, seconds = time.monotonic(), group.jobs[0], 0.0
    silence(first.resolved["verbose"])
    checkpoint = folder / "groups" / f"{group.name}.ckpt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    left = group
    if checkpoint.exists():
        left = group.only(load(checkpoint, first.resolved["trust"])["members"])  # refuses before Lightning opens it
        log.info(f"going on with {left}")
    while left:
        watch, module = _fit(left, folder, checkpoint)
        seconds += (time.monotonic() - started) / len(left.jobs)
        started = time.monotonic()
        write_members(left.jobs, watch, module.stack, data=left.variants[0].data, seconds=seconds)
        left = leave(left, watch, module, checkpoint=checkpoint)
        del watch, module  # the larger group's
    checkpoint.unlink()


def _fit(group: Group, folder: Path, checkpoint: Path) -> tuple[Watch, Members]:
    """Train the members until all have ended, or so many that they leave."""
    first, data, model = group.jobs[0], group.variants[0].data, group.variants[0].model
    watched = first.resolved["callbacks"]["checkpoints"]
    mode = mode_of(watched["monitor"], None if watched["mode"] == "auto" else watched["mode"], model)
    average = callbacks_of(first, "average")
    watch = Watch(
        watched["monitor"], mode, patience_of(first), plausible=constant_loss(data, model), may_leave=not average
    )
    keep = Keep(checkpoint, [job.key for job in group.jobs])
    node = OmegaConf.create({**first.resolved["trainer"], "default_root_dir": str(folder)})
    callbacks = [watch, keep, *average, *callbacks_of(first, "progress")]
    trainer = build(node, model=model, data=data, callbacks=callbacks, logger=[])
    module, loader, validation = _module(group, data, trainer)
    trainer.precision_plugin.convert_module(module)  # see kindling.training.run
    before = choose_threads(trainer, module, data, short=SHORT_TOGETHER)
    resumed = checkpoint if checkpoint.exists() else None
    try:
        with warnings.catch_warnings():
            for stage in ("val", "test"):
                warnings.filterwarnings("ignore", f"You defined a `{stage}")
            trainer.fit(module, loader, validation, ckpt_path=resumed, weights_only=not first.resolved["trust"])
    except SystemExit as error:  # Lightning's, of a KeyboardInterrupt
        raise KeyboardInterrupt from error
    finally:
        torch.set_num_threads(before)
    return watch, module


class Keep(PeriodicCheckpoint):
    """The group's one checkpoint, from which an undisturbed end is reached."""

    def __init__(self, path: Path, members: list[str], every_seconds: float = 10.0):
        super().__init__(every_seconds)
        self.path, self.members = path, members

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        checkpoint["members"] = self.members

    def save(self, trainer: pl.Trainer) -> None:
        with replacing(self.path) as part:
            trainer.save_checkpoint(part)


def _module(group: Group, data: Data, trainer: pl.Trainer) -> tuple[Members, MembersLoader, Shared | None]:
    jobs, model = group.jobs, group.variants[0].model
    loader, validation = _loaders(jobs, data, trainer)
    schedules = [next(iter(callbacks_of(job, "schedule")), None) for job in jobs]
    members = [_member(job) for job in jobs]
    rates = Rates([member.lr for member in members], schedules, loader.steps * trainer.max_epochs)
    loss = _training_loss(group)
    module = Members(_stack(group, data), members, _optimizers(group), rates=rates, model=model, training_loss=loss)
    return module, loader, validation


def _stack(group: Group, data: Data) -> Stack:
    """The members' start weights. Of one variant those with one seed start from the same."""
    starts: dict[tuple, tuple] = {}
    parts, keys = [], []
    for v, variant in enumerate(group.variants):
        parts.append((slice(len(keys), len(keys) + len(variant.jobs)), variant.model))
        make = maker(variant.jobs[0], data)
        for job in variant.jobs:
            keys.append((v, job.resolved["seed"], str(job.resolved["callbacks"].get("init"))))
            if keys[-1] not in starts:
                starts[keys[-1]] = weights_of(start_net(job, make))
    return Stack(parts, [starts[key] for key in keys])


def _training_loss(group: Group) -> Loss:
    """The loss of a training step, of which variants may differ in label smoothing."""
    smoothing = [variant.jobs[0].resolved["model"].get("label_smoothing") for variant in group.variants]
    parts, end = [], 0
    for variant in group.variants:
        start, end = end, end + len(variant.jobs)
        parts.append((slice(start, end), batched(variant.model.training_loss)))
    return in_parts(parts if len(set(smoothing)) > 1 else parts[:1])


def _loaders(jobs: list[Job], data: Data, trainer: pl.Trainer) -> tuple[MembersLoader, Shared | None]:
    """Of the training rows, in lists of mini-batches of about a second's work; and of the validation rows."""
    data.trainer = trainer
    (x, _), (val, _) = data.samples["train"], data.samples["val"]
    batch = data.samples_per_step
    num_steps = max(1, min(200, 10_000_000 // (x[0].numel() * batch * len(jobs))))
    seeds = [job.resolved["data"].get("seed", 0) for job in jobs]
    rows = max(1, 50_000_000 // (len(jobs) * max(100, x[0].numel())))
    validation = Shared(data.loader("val", rows), len(jobs)) if len(val) else None
    return MembersLoader(data.loader("train", batch, seed=0), seeds, num_steps), validation


def _member(job: Job) -> Member:
    optimizer, gradients = job.resolved["model"]["optimizer"], job.resolved["callbacks"].get("gradients") or {}
    return Member(
        job.resolved["seed"],
        optimizer["lr"],
        optimizer.get("weight_decay", 0.0),
        l1=gradients.get("l1", 0.0),
        clip=gradients.get("clip"),
    )


def _optimizers(group: Group) -> list[Part]:
    """One for the members of neighbouring variants whose optimizer is of the same kind."""
    parts, end, last = [], 0, None
    for variant in group.variants:
        start, end = end, end + len(variant.jobs)
        key = optimizer_key(variant)
        if key == last:
            parts[-1].members = slice(parts[-1].members.start, end)
        else:
            node = dict(variant.jobs[0].resolved["model"]["optimizer"])
            parts.append(Part(slice(start, end), build(OmegaConf.create(node))))
        last = key
    return parts
