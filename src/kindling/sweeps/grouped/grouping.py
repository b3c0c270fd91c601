"""Which jobs can be trained together, and in which groups."""

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
from kindling.sweeps.grouped.parts import maker, patience_of, start_net
from kindling.sweeps.grouped.stack import skeleton
from kindling.sweeps.grouped.why_single import why_by_config, why_by_model
from kindling.sweeps.plan import effective
from kindling.training.summary import named

MOST = 500  # members; of more, groups train in several processes at once
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
    def steps(self) -> int:
        """Optimizer steps of all members together."""
        data = self.variants[0].data
        of_one = math.ceil(data.number_of("train") * data.passes / data.samples_per_step)
        return sum(of_one * job.resolved["trainer"]["max_epochs"] for job in self.jobs)

    @property
    def name(self) -> str:
        return hashlib.sha256(" ".join(job.key for job in self.jobs).encode()).hexdigest()[:12]

    def only(self, keys: list[str]) -> "Group":
        """Return the group of those of its jobs that have these keys."""
        wanted = set(keys)
        kept = [[job for job in variant.jobs if job.key in wanted] for variant in self.variants]
        return Group([Variant(jobs, v.model, v.data) for jobs, v in zip(kept, self.variants, strict=True) if jobs])

    def __str__(self) -> str:
        kinds = len(self.variants)
        size = _size(self.variants[0].model, {job.choices.get("model") for job in self.jobs})
        return f"{len(self.jobs)} nets of {size}" + f" in {kinds} variants" * (kinds > 1)


def form(jobs: list[Job], most_bytes: float) -> tuple[list[Group], list[tuple[Job, str]]]:
    """Groups of at least two, and the jobs that are to be trained by themselves, with the reason.

    The same jobs always form the same groups: a member's float32 numbers depend on how many it is trained with.
    """
    reasons = [(job, why_by_config(job.resolved)) for job in jobs]
    singles, data_of, groups = [(job, why) for job, why in reasons if why], {}, {}
    for members in _alike([job for job, why in reasons if not why]):
        try:
            variant = _variant(members, data_of)
            reason = why_by_model(variant.model, variant.data, patience_of(members[0]))
        except Exception as error:  # will be raised again, and recorded, where the job is run by itself
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if reason:
            singles += [(job, reason) for job in members]
        else:
            groups.setdefault(_common(variant), []).append(variant)
    parts = [part for variants in groups.values() for part in _split(Group(_sorted(variants)), most_bytes)]
    singles += [(group.jobs[0], "no other is like it") for group in parts if len(group.jobs) == 1]
    return [group for group in parts if len(group.jobs) > 1], singles


def group_of(jobs: list[Job]) -> Group:
    """Return the group of these jobs, which may all train together."""
    data_of: dict[str, Data] = {}
    return Group(_sorted([_variant(members, data_of) for members in _alike(jobs)]))


def _alike(jobs: list[Job]) -> list[list[Job]]:
    """Return the jobs that differ in a member's own values alone."""
    variants: dict[str, list[Job]] = {}
    for job in jobs:
        variants.setdefault(_without(effective(job.resolved), OF_A_MEMBER), []).append(job)
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
            raise UserError("the data are drawn from the global random numbers, so every seed has its own")
        data_of[key] = data
    return Variant(jobs, start_net(jobs[0], maker(jobs[0], data_of[key])), data_of[key])


def optimizer_key(variant: Variant) -> str:
    return _without(variant.jobs[0].resolved["model"]["optimizer"], (("lr",), ("weight_decay",)))


def _sorted(variants: list[Variant]) -> list[Variant]:
    """Those with the same optimizer beside each other."""
    return sorted(variants, key=optimizer_key)


def _common(variant: Variant) -> str:
    """What all variants of a group have in common, as text."""
    resolved = variant.jobs[0].resolved
    model = resolved["model"]
    callbacks = {k: v for k, v in resolved["callbacks"].items() if k not in ("gradients", "schedule", "init")}
    data = {k: v for k, v in resolved["data"].items() if k != "seed"}
    how = [data, callbacks, resolved["trainer"], model.get("loss"), model.get("metrics")]
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
    x = data.samples["train"][0]
    batch = data.samples_per_step
    weights = sum(p.numel() for p in model.parameters())
    units = x[0].numel() + sum(p.numel() for p in model.parameters() if p.dim() == 1)
    rows = sum(len(y) for _, y in data.samples.values()) + (data.passes - 1) * len(x)
    outputs = data.model_kwargs()["num_outputs"]
    return 4 * (10 * weights + 6 * batch * units + rows * (6 * outputs + 4) + 2 * len(data.samples["val"][1]) * units)


def _without(node: dict, paths: tuple) -> str:
    """As text, without the values at these places."""
    copy = json.loads(json.dumps(node, default=str))
    for *above, last in paths:
        inner = copy
        for key in above:
            inner = inner.get(key) or {}
        inner.pop(last, None)
    return json.dumps(copy, sort_keys=True)


def _size(model: Model, choices: set[str | None]) -> str:
    return f"{named(type(model).__name__, choices)} with {sum(p.numel() for p in model.parameters()):,} parameters"
