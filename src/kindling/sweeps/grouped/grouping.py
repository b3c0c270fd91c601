"""Form groups of jobs that can be trained together."""

import hashlib
import json
import math
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.build import build
from kindling.data.base import Data
from kindling.models.base import Model
from kindling.sweeps.compose import Job
from kindling.sweeps.grouped.parts import callbacks_of, initial_model, model_factory, patience_of
from kindling.sweeps.grouped.stack import skeleton
from kindling.sweeps.grouped.why_single import why_by_config, why_by_model
from kindling.sweeps.plan import effective
from kindling.training.summary import named

MAX_MEMBERS = 500  # larger groups are split, so that several processes can share the work
# Paths in the config of the values in which the jobs of one variant may differ.
MEMBER_OPTIONS: tuple[tuple[str, ...], ...] = (
    *(("seed",), ("data", "seed"), ("model", "optimizer", "lr"), ("model", "optimizer", "weight_decay")),
    *(("optimizer", "lr"), ("optimizer", "weight_decay")),
    *(("callbacks", "gradients"), ("callbacks", "schedule"), ("callbacks", "init")),
)


@dataclass
class Variant:
    """Jobs that differ only in MEMBER_OPTIONS, with the model and data of the first of them."""

    jobs: list[Job]
    model: Model
    data: Data


@dataclass
class Group:
    """Variants that share model skeleton, data and training. `name` is a hash of the members' keys."""

    variants: list[Variant]

    @property
    def jobs(self) -> list[Job]:
        return [job for variant in self.variants for job in variant.jobs]

    @property
    def steps(self) -> int:
        """Total number of optimizer steps of all members."""
        data = self.variants[0].data
        per_epoch = math.ceil(data.number_of("train") * data.passes / data.samples_per_step)
        return sum(per_epoch * job.resolved["trainer"]["max_epochs"] for job in self.jobs)

    @property
    def name(self) -> str:
        return hashlib.sha256(" ".join(job.key for job in self.jobs).encode()).hexdigest()[:12]

    def only(self, keys: list[str]) -> "Group":
        """Return the group reduced to the jobs with these keys."""
        wanted = set(keys)
        kept = [[job for job in variant.jobs if job.key in wanted] for variant in self.variants]
        return Group([Variant(jobs, v.model, v.data) for jobs, v in zip(kept, self.variants, strict=True) if jobs])

    def __str__(self) -> str:
        kinds = len(self.variants)
        size = _size(self.variants[0].model, {job.choices.get("model") for job in self.jobs})
        return f"{len(self.jobs)} jobs, {size}" + f" in {kinds} variants" * (kinds > 1)


def form_groups(jobs: list[Job], most_bytes: float) -> tuple[list[Group], list[tuple[Job, str]]]:
    """Return groups of at least two jobs, and the jobs that have to train individually, with the reason.

    The same jobs always form the same groups, because a member's float32 results depend on the size of its group.

    Args:
        most_bytes: approximate memory that a group may take.
    """
    reasons = [(job, why_by_config(job.resolved)) for job in jobs]
    singles = [(job, why) for job, why in reasons if why]
    data_of: dict[str, Data] = {}
    groups: dict[str, list[Variant]] = {}
    for members in _alike([job for job, why in reasons if not why]):
        try:
            variant = _variant(members, data_of)
            reason = why_by_model(variant.model, variant.data, patience_of(members[0]))
        except Exception as error:  # raised again, and recorded, when the job is run individually
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if reason:
            singles += [(job, reason) for job in members]
        else:
            groups.setdefault(_group_key(variant), []).append(variant)
    parts = [part for variants in groups.values() for part in _split(Group(_sorted(variants)), most_bytes)]
    singles += [
        (group.jobs[0], "no other job has the same network, data split and options")
        for group in parts
        if len(group.jobs) == 1
    ]
    return [group for group in parts if len(group.jobs) > 1], singles


def group_of(jobs: list[Job]) -> Group:
    """Return the group of these jobs, all of which can train together."""
    data_of: dict[str, Data] = {}
    return Group(_sorted([_variant(members, data_of) for members in _alike(jobs)]))


def _alike(jobs: list[Job]) -> list[list[Job]]:
    """Return lists of jobs that differ only in MEMBER_OPTIONS."""
    variants: dict[str, list[Job]] = {}
    for job in jobs:
        variants.setdefault(_without(effective(job.resolved), MEMBER_OPTIONS), []).append(job)
    return list(variants.values())


def _variant(jobs: list[Job], data_of: dict[str, Data]) -> Variant:
    resolved = jobs[0].resolved
    key = _without({"data": resolved["data"]}, (("data", "seed"),))
    if key not in data_of:
        pl.seed_everything(resolved["seed"], verbose=False)
        state = torch.get_rng_state()
        data = build(OmegaConf.create(resolved["data"]))
        data.model_kwargs()
        if not torch.equal(state, torch.get_rng_state()):
            raise UserError("the data set uses torch's global random generator, so it differs between seeds")
        data_of[key] = data
    first, data = jobs[0], data_of[key]
    return Variant(jobs, initial_model(first, model_factory(first, data), callbacks_of(first, "init")), data)


def optimizer_key(variant: Variant) -> str:
    return _without(variant.jobs[0].resolved["model"]["optimizer"], (("lr",), ("weight_decay",)))


def _sorted(variants: list[Variant]) -> list[Variant]:
    """Return the variants in an order in which those with the same optimizer are adjacent."""
    return sorted(variants, key=optimizer_key)


def _group_key(variant: Variant) -> str:
    """Return the text that is equal for variants of the same group."""
    resolved = variant.jobs[0].resolved
    model = resolved["model"]
    callbacks = {k: v for k, v in resolved["callbacks"].items() if k not in ("gradients", "schedule", "init")}
    data = {k: v for k, v in resolved["data"].items() if k != "seed"}
    how = [data, callbacks, resolved["trainer"], model.get("loss"), model.get("metrics")]
    how.append(variant.model.lr_factors)
    return json.dumps([skeleton(variant.model), *how], sort_keys=True, default=str)


def _split(group: Group, most_bytes: float) -> list[Group]:
    """Split a group into groups of about equal size, within the memory limit and MAX_MEMBERS."""
    variant = group.variants[0]
    most = max(1, min(MAX_MEMBERS, int(most_bytes / _bytes(variant))))
    number = math.ceil(len(group.jobs) / most)
    if number == 1:
        return [group]
    size, room = math.ceil(len(group.jobs) / number), 0
    groups: list[Group] = []
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
    """Estimate a member's memory: weights and optimizer state, activations, and the epoch's logits and targets."""
    model, data = variant.model, variant.data
    x = data.samples["train"][0]
    batch = data.samples_per_step
    weights = sum(p.numel() for p in model.parameters())
    units = x[0].numel() + sum(p.numel() for p in model.parameters() if p.dim() == 1)
    rows = sum(len(y) for _, y in data.samples.values()) + (data.passes - 1) * len(x)
    outputs = data.model_kwargs()["num_outputs"]
    return 4 * (10 * weights + 6 * batch * units + rows * (6 * outputs + 4) + 2 * len(data.samples["val"][1]) * units)


def _without(node: dict, paths: tuple[tuple[str, ...], ...]) -> str:
    """Return a config node as JSON, without the values at these paths."""
    copy = json.loads(json.dumps(node, default=str))
    for *above, last in paths:
        inner = copy
        for key in above:
            inner = inner.get(key) or {}
        inner.pop(last, None)
    return json.dumps(copy, sort_keys=True)


def _size(model: Model, choices: set[str | None]) -> str:
    return f"{named(type(model), choices)} with {sum(p.numel() for p in model.parameters()):,} parameters"
