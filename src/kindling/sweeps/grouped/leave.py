"""Members that have ended leave their group, and the others go on without them."""

import logging
from pathlib import Path

import torch

from kindling.files import replacing
from kindling.sweeps.grouped.grouping import Group
from kindling.sweeps.grouped.members import Members
from kindling.sweeps.grouped.tracker import Watch
from kindling.training.load import load

log = logging.getLogger("kindling")


def leave(group: Group, watch: Watch, module: Members, checkpoint: Path) -> Group | None:
    """Return the group of the members that go on, or None; its checkpoint takes the place of that of all."""
    if not watch.leaving:
        return None
    going = watch.going()
    keys = [group.jobs[m].key for m in going.tolist()]
    state = load(checkpoint, group.jobs[0].resolved["trust"])
    state["members"] = keys
    weights = state["state_dict"]
    state["state_dict"] = {
        name: t[going.to(t.device)] if name.startswith("stack.") else t for name, t in weights.items()
    }
    state["optimizer_states"] = [module.optimizers(use_pl_optimizer=False).state_of(going)]
    state["rates"] = module.rates.state_of(going)
    state["callbacks"][watch.state_key] = watch.state_of(going)
    with replacing(checkpoint) as part:
        torch.save(state, part)
    log.info(f"{len(group.jobs) - len(keys)} of {len(group.jobs)} have ended; the others go on without them")
    return group.only(keys)
