"""Jobs that are trained together: found, trained as one LightningModule, and their folders written."""

import hashlib
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from kindling import UserError, cli
from kindling.checkpoints import SavesInTime
from kindling.data import Data
from kindling.data.loader import TensorLoader
from kindling.device import choose_threads
from kindling.models import Model
from kindling.run import silence
from kindling.stopping import constant_loss
from kindling.sweep.loader import MembersLoader
from kindling.sweep.members import Members
from kindling.sweep.plan import Job, effective
from kindling.sweep.stack import Stack, skeleton
from kindling.sweep.update import Member, Part, Rates
from kindling.sweep.watch import Watch
from kindling.sweep.why_single import why_by_config, why_by_model
from kindling.sweep.write import write_members

log = logging.getLogger("kindling")

MOST = 1_000  # members; the time per member falls no further
# What a member may have for itself, by its place in the config; and what a variant may.
OF_A_MEMBER = (("seed",), ("data", "seed"), ("model", "optimizer", "lr"), ("model", "optimizer", "weight_decay"))
OF_A_MEMBER += (("optimizer", "lr"), ("optimizer", "weight_decay"))
OF_A_MEMBER += (("callbacks", "gradients"), ("callbacks", "schedule"), ("callbacks", "init"))


@dataclass
class Variant:
    """Jobs that differ in a member's own values alone, with a net and the data as the first of them has them."""

    jobs: list[Job]
    model: Model
    data: Data


@dataclass
class Group:
    """Variants of one skeleton, data and training. `name` is made from its members' keys."""

    variants: list[Variant]

    @property
    def jobs(self) -> list[Job]:
        return [job for variant in self.variants for job in variant.jobs]

    @property
    def name(self) -> str:
        return hashlib.sha256(" ".join(job.key for job in self.jobs).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        kinds = len(self.variants)
        return f"{len(self.jobs)} nets of {_size(self.variants[0].model)}" + f" in {kinds} variants" * (kinds > 1)


def form(jobs: list[Job], script: Path, most_bytes: float) -> tuple[list[Group], list[tuple[Job, str]]]:
    """Groups of at least two, and the jobs that are to be trained by themselves, with the reason.

    The same jobs always form the same groups: a member's float32 numbers depend on how many it is trained with.
    """
    variants: dict[str, list[Job]] = {}
    singles, data_of, groups = [], {}, {}
    for job in jobs:
        reason = why_by_config(job.resolved, script)
        if reason:
            singles.append((job, reason))
        else:
            variants.setdefault(_without(effective(job.resolved), OF_A_MEMBER), []).append(job)
    for members in variants.values():
        try:
            variant = _variant(members, data_of)
            reason = why_by_model(variant.model, variant.data, _patience(members[0]))
        except Exception as error:  # will be raised again, and recorded, where the job is run by itself
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if reason:
            singles += [(job, reason) for job in members]
        else:
            groups.setdefault(_common(variant), []).append(variant)
    parts = [part for variants in groups.values() for part in _split(Group(_sorted(variants)), most_bytes)]
    singles += [(group.jobs[0], "no other is like it") for group in parts if len(group.jobs) == 1]
    return [group for group in parts if len(group.jobs) > 1], singles


def train(group: Group, folder: Path) -> None:
    """Train all members, or go on from the group's checkpoint, and write those folders that are not there yet.

    Raises:
        KeyboardInterrupt: at a signal; the group's checkpoint is written then.
    """
    started, first = time.monotonic(), group.jobs[0]
    silence(first.resolved["verbose"])
    data, model = group.variants[0].data, group.variants[0].model
    checkpoint = folder / "groups" / f"{group.name}.ckpt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    watched = first.resolved["callbacks"]["checkpoints"]
    watch = Watch(watched["monitor"], watched["mode"], _patience(first), constant_loss(data, model))
    own = [watch, Keep(checkpoint), *_callbacks(first, "average", "progress")]
    node = OmegaConf.create({**first.resolved["trainer"], "default_root_dir": str(folder)})
    trainer = cli.build(node, model=model, data=data, callbacks=own, logger=[])
    module, loader, validation = _module(group, data, trainer)
    before = choose_threads(trainer, module, data)
    if checkpoint.exists():
        log.info(f"going on with {group}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
            trainer.fit(module, loader, validation, ckpt_path=checkpoint if checkpoint.exists() else None)
    except SystemExit as error:  # Lightning's, of a KeyboardInterrupt
        raise KeyboardInterrupt from error
    finally:
        torch.set_num_threads(before)
    seconds = (time.monotonic() - started) / len(group.jobs)
    write_members(group.jobs, watch, module.stack, data, seconds)
    checkpoint.unlink()


class Keep(SavesInTime):
    """The group's one checkpoint, from which an undisturbed end is reached."""

    def __init__(self, path: Path, every_seconds: float = 10.0):
        super().__init__(every_seconds)
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save_if_due(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        part = self.path.with_suffix(".part")
        trainer.save_checkpoint(part)
        os.replace(part, self.path)


def _variant(jobs: list[Job], data_of: dict[str, Data]) -> Variant:
    resolved = jobs[0].resolved
    key = _without({"data": resolved["data"]}, (("data", "seed"),))
    if key not in data_of:
        pl.seed_everything(resolved["seed"], verbose=False)
        state = torch.get_rng_state()
        data = cli.build(OmegaConf.create(resolved["data"]))
        data.facts()
        if not torch.equal(state, torch.get_rng_state()):
            raise UserError("the data are drawn from the global random numbers, so every seed has its own")
        data_of[key] = data
    return Variant(jobs, _net(jobs[0], _maker(jobs[0], data_of[key])), data_of[key])


def _maker(job: Job, data: Data) -> Callable[[], Model]:
    """Makes the job's model; Hydra's part of it, the longest, is done once."""
    return cli.build(OmegaConf.create({**job.resolved["model"], "_partial_": True}), **data.facts())


def _net(job: Job, make: Callable[[], Model]) -> Model:
    """The model with the start weights of the job's seed, as train.py makes it."""
    pl.seed_everything(job.resolved["seed"], verbose=False)
    model = make()
    for callback in _callbacks(job, "init"):
        callback.setup(None, model, "fit")
    return model


def _callbacks(job: Job, *names: str) -> list[pl.Callback]:
    nodes = [job.resolved["callbacks"].get(name) for name in names]
    return [callback for node in nodes if node and (callback := cli.build(OmegaConf.create(node)))]


def _module(group: Group, data: Data, trainer: pl.Trainer) -> tuple[Members, MembersLoader, TensorLoader | None]:
    jobs, model = group.jobs, group.variants[0].model
    nets: dict[tuple, Model] = {}  # members with one seed start from the same weights
    slices, keys = [], []
    for v, variant in enumerate(group.variants):
        slices.append(slice(len(keys), len(keys) + len(variant.jobs)))
        make = _maker(variant.jobs[0], data)
        for job in variant.jobs:
            keys.append((v, job.resolved["seed"], str(job.resolved["callbacks"].get("init"))))
            nets[keys[-1]] = nets.get(keys[-1]) or _net(job, make)
    data.trainer = trainer
    x, _ = data.rows["train"]
    batch = len(x) if data.batch_size == "full" else data.batch_size
    values = x[0].numel() * batch * len(jobs)
    chunk = max(1, min(200, 10_000_000 // values))  # about a second
    loader = MembersLoader(
        data.loader("train", batch, seed=0), [job.resolved["data"].get("seed", 0) for job in jobs], chunk
    )
    val = data.rows["val"][0]
    rows = max(1, 50_000_000 // (len(jobs) * max(100, val[0].numel()))) if len(val) else 0
    validation = data.loader("val", rows) if len(val) else None
    schedules = [next(iter(_callbacks(job, "schedule")), None) for job in jobs]
    members = [_member(job) for job in jobs]
    rates = Rates([member.lr for member in members], schedules, loader.steps * trainer.max_epochs)
    stack = Stack([nets[key] for key in keys], slices)
    parts = _optimizers(group)
    module = Members(stack, members, parts, rates, model.task, model.loss, model.training_loss, model.target_std)
    return module, loader, validation


def _member(job: Job) -> Member:
    optimizer, gradients = job.resolved["model"]["optimizer"], job.resolved["callbacks"].get("gradients") or {}
    return Member(
        job.resolved["seed"],
        optimizer["lr"],
        optimizer.get("weight_decay", 0.0),
        gradients.get("l1", 0.0),
        gradients.get("clip"),
    )


def _optimizers(group: Group) -> list[Part]:
    """One for the members of neighbouring variants whose optimizer is of the same kind."""
    parts, end, last = [], 0, None
    for variant in group.variants:
        start, end = end, end + len(variant.jobs)
        key = _optimizer_key(variant)
        if key == last:
            parts[-1].members = slice(parts[-1].members.start, end)
        else:
            node = dict(variant.jobs[0].resolved["model"]["optimizer"])
            parts.append(Part(slice(start, end), cli.build(OmegaConf.create(node))))
        last = key
    return parts


def _optimizer_key(variant: Variant) -> str:
    return _without(variant.jobs[0].resolved["model"]["optimizer"], (("lr",), ("weight_decay",)))


def _sorted(variants: list[Variant]) -> list[Variant]:
    """Those with the same optimizer beside each other."""
    return sorted(variants, key=_optimizer_key)


def _common(variant: Variant) -> str:
    """What all variants of a group have in common, as text."""
    resolved = variant.jobs[0].resolved
    model = resolved["model"]
    callbacks = {k: v for k, v in resolved["callbacks"].items() if k not in ("gradients", "schedule", "init")}
    data = {k: v for k, v in resolved["data"].items() if k != "seed"}
    how = [data, callbacks, resolved["trainer"], model.get("loss"), model.get("label_smoothing")]
    return json.dumps([skeleton(variant.model), *how], sort_keys=True, default=str)


def _split(group: Group, most_bytes: float) -> list[Group]:
    """Groups of about equal size, none of which takes more memory than is allowed, or has more than MOST members."""
    variant = group.variants[0]
    most = max(1, min(MOST, int(most_bytes / _bytes(variant))))
    number = math.ceil(len(group.jobs) / most)
    if number == 1:
        return [group]
    size, groups, room = math.ceil(len(group.jobs) / number), [], 0
    for variant in group.variants:
        jobs = variant.jobs
        while jobs:
            if room == 0:
                groups.append(Group([]))
                room = size
            taken, jobs = jobs[:room], jobs[room:]
            groups[-1].variants.append(Variant(taken, variant.model, variant.data))
            room -= len(taken)
    return groups


def _bytes(variant: Variant) -> float:
    """Of a member, about: weights and their like, a step's activations, what an epoch's metrics are computed from."""
    model, data = variant.model, variant.data
    x = data.rows["train"][0]
    batch = len(x) if data.batch_size == "full" else data.batch_size
    weights = sum(p.numel() for p in model.parameters())
    units = x[0].numel() + sum(p.numel() for p in model.parameters() if p.dim() == 1)
    rows = sum(len(y) for _, y in data.rows.values())
    outputs = data.facts()["num_outputs"]
    return 4 * (10 * weights + 6 * batch * units + rows * (6 * outputs + 4) + 2 * len(data.rows["val"][1]) * units)


def _patience(job: Job) -> int | None:
    return (job.resolved["callbacks"].get("early_stopping") or {}).get("patience")


def _without(node: dict, paths: tuple) -> str:
    """As text, without the values at these places."""
    copy = json.loads(json.dumps(node, default=str))
    for *above, last in paths:
        inner = copy
        for key in above:
            inner = inner.get(key) or {}
        inner.pop(last, None)
    return json.dumps(copy, sort_keys=True)


def _size(model: Model) -> str:
    return f"{type(model).__name__} with {sum(p.numel() for p in model.parameters()):,} parameters"
