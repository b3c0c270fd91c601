"""Train a group of jobs as one LightningModule, and write their folders."""

import logging
import signal
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor

from kindling.cli.build import build
from kindling.data.base import Data
from kindling.files import replacing
from kindling.models.base import Model
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.grouping import Group, optimizer_key
from kindling.sweeps.grouped.leave import drop_ended
from kindling.sweeps.grouped.loader import MembersLoader, SharedLoader
from kindling.sweeps.grouped.members import Loss, Members, batched, in_parts
from kindling.sweeps.grouped.parts import callbacks_of, initial_model, model_factory, patience_of, schedule_of
from kindling.sweeps.grouped.rates import Rates
from kindling.sweeps.grouped.stack import Stack, weights_of
from kindling.sweeps.grouped.tracker import Tracker
from kindling.sweeps.grouped.update import MemberOptions, OptimizerPart
from kindling.sweeps.grouped.write import write_members
from kindling.training.checkpoint_files import load
from kindling.training.device import choose_threads
from kindling.training.divergence import constant_loss
from kindling.training.monitored import mode_of
from kindling.training.periodic_checkpoint import PeriodicCheckpoint
from kindling.training.quiet import silence

log = logging.getLogger("kindling")

# Like training.device.SHORT, for all members together. Batched products of small matrices take longer per
# multiply-add: two threads take 1.8 ms per step of 1,000 models 8-6-4-1, one takes 3.0 ms; for 100 models 2-25-25-1 it
# is 0.63 and 0.79 ms.
SHORT_TOGETHER = 1_000_000


def train(group: Group, folder: Path) -> None:
    """Train all members, or resume from the group's checkpoint, and write the folders that do not exist yet.

    Members that have ended leave if the others train faster without them.

    Raises:
        KeyboardInterrupt or SystemExit: a signal was received; the group's checkpoint has been written.
    """
    started, first, seconds = time.monotonic(), group.jobs[0], 0.0
    silence(first.resolved["verbose"])
    checkpoint = folder / "groups" / f"{group.name}.ckpt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    left: Group | None = group
    if checkpoint.exists():
        left = group.only(load(checkpoint, first.resolved["trust"])["members"])  # rejected before Lightning opens it
        log.info(f"resuming {left}")
    while left:
        tracker, module = _fit(left, folder, checkpoint)
        seconds += (time.monotonic() - started) / len(left.jobs)
        started = time.monotonic()
        write_members(left.jobs, tracker, module.stack, data=left.variants[0].data, seconds=seconds)
        left = drop_ended(left, tracker, module, checkpoint=checkpoint)
        del tracker, module  # free the memory of the larger group
    checkpoint.unlink()


def _fit(group: Group, folder: Path, checkpoint: Path) -> tuple[Tracker, Members]:
    """Train the members until all have ended, or enough to leave."""
    first, data, model = group.jobs[0], group.variants[0].data, group.variants[0].model
    watched = first.resolved["callbacks"]["checkpoints"]
    is_given = first.raw.get("mode") != "auto" and "${" not in str(first.raw.get("mode"))  # as in train.py
    mode = mode_of(watched["monitor"], watched["mode"] if is_given else None, model)
    average = callbacks_of(first, "average")
    tracker = Tracker(
        watched["monitor"],
        mode,
        patience_of(first),
        plausible=constant_loss(data, model),
        may_leave=not average,
        ties=watched.get("ties", "first"),
    )
    saving = GroupCheckpoint(checkpoint, [job.key for job in group.jobs])
    node = OmegaConf.create({**first.resolved["trainer"], "default_root_dir": str(folder)})
    callbacks = [tracker, saving, *average, *callbacks_of(first, "progress")]
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
    except SystemExit as error:  # raised by Lightning on a KeyboardInterrupt
        if saving.signals.received == signal.SIGTERM:
            raise SystemExit(143) from error
        raise KeyboardInterrupt from error
    finally:
        torch.set_num_threads(before)
    return tracker, module


class GroupCheckpoint(PeriodicCheckpoint):
    """Writes the group's only checkpoint, from which training resumes exactly."""

    def __init__(self, path: Path, members: list[str], every_seconds: float = 10.0):
        super().__init__(every_seconds)
        self.path, self.members = path, members

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        checkpoint["members"] = self.members

    def save(self, trainer: pl.Trainer) -> None:
        with replacing(self.path) as part:
            trainer.save_checkpoint(part)


def _module(group: Group, data: Data, trainer: pl.Trainer) -> tuple[Members, MembersLoader, SharedLoader | None]:
    jobs, model = group.jobs, group.variants[0].model
    loader, validation = _loaders(jobs, data, trainer)
    members = [_member_options(job) for job in jobs]
    steps = loader.steps * (trainer.max_epochs or 0)
    rates = Rates([member.lr for member in members], [schedule_of(job) for job in jobs], steps)
    loss = _training_loss(group)
    module = Members(_stack(group, data), members, _optimizers(group), rates=rates, model=model, training_loss=loss)
    return module, loader, validation


def _stack(group: Group, data: Data) -> Stack:
    """Stack the members' initial weights, made once for the members of a variant with equal seed and init."""
    starts: dict[tuple[int, int, str], tuple[Tensor, list[Tensor]]] = {}
    parts: list[tuple[slice, Model]] = []
    keys: list[tuple[int, int, str]] = []
    inits: dict[str, list[pl.Callback]] = {}
    for v, variant in enumerate(group.variants):
        parts.append((slice(len(keys), len(keys) + len(variant.jobs)), variant.model))
        make = model_factory(variant.jobs[0], data)
        for job in variant.jobs:
            init = str(job.resolved["callbacks"].get("init"))
            keys.append((v, job.resolved["seed"], init))
            if init not in inits:
                inits[init] = callbacks_of(job, "init")
            if keys[-1] not in starts:
                starts[keys[-1]] = weights_of(initial_model(job, make, inits[init]))
    return Stack(parts, [starts[key] for key in keys])


def _training_loss(group: Group) -> Loss:
    """Return the loss of a training step; variants may differ in label smoothing."""
    smoothing = [variant.jobs[0].resolved["model"].get("label_smoothing") for variant in group.variants]
    parts, end = [], 0
    for variant in group.variants:
        start, end = end, end + len(variant.jobs)
        parts.append((slice(start, end), batched(variant.model.training_loss)))
    return in_parts(parts if len(set(smoothing)) > 1 else parts[:1])


def _loaders(jobs: list[Job], data: Data, trainer: pl.Trainer) -> tuple[MembersLoader, SharedLoader | None]:
    """Return the training loader, with about a second's work per list of mini-batches, and the validation loader."""
    data.trainer = trainer
    (x, _), (val, _) = data.samples["train"], data.samples["val"]
    batch = data.samples_per_step
    num_steps = max(1, min(200, 10_000_000 // (x[0].numel() * batch * len(jobs))))
    seeds = [job.resolved["data"].get("seed", 0) for job in jobs]
    val_batch = max(1, 50_000_000 // (len(jobs) * max(100, x[0].numel())))
    validation = SharedLoader(data.loader("val", val_batch), len(jobs)) if len(val) else None
    return MembersLoader(data.loader("train", batch, seed=0), seeds, num_steps), validation


def _member_options(job: Job) -> MemberOptions:
    optimizer, gradients = job.resolved["model"]["optimizer"], job.resolved["callbacks"].get("gradients") or {}
    return MemberOptions(
        optimizer["lr"],
        optimizer.get("weight_decay", 0.0),
        l1=gradients.get("l1", 0.0),
        clip=gradients.get("clip"),
    )


def _optimizers(group: Group) -> list[OptimizerPart]:
    """Return one part for all adjacent variants with the same kind of optimizer."""
    parts: list[OptimizerPart] = []
    end, last = 0, ""
    for variant in group.variants:
        start, end = end, end + len(variant.jobs)
        key = optimizer_key(variant)
        if key == last:
            parts[-1].members = slice(parts[-1].members.start, end)
        else:
            node = dict(variant.jobs[0].resolved["model"]["optimizer"])
            parts.append(OptimizerPart(slice(start, end), build(OmegaConf.create(node))))
        last = key
    return parts
