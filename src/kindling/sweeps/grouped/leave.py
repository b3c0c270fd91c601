"""Remove members that have ended from their group, which continues without them."""

import logging
from pathlib import Path

from kindling.sweeps.grouped.grouping import Group
from kindling.sweeps.grouped.members import Members
from kindling.sweeps.grouped.tracker import Tracker
from kindling.sweeps.grouped.update import GroupOptimizer
from kindling.training.checkpoint_files import load, save

log = logging.getLogger("kindling")


def drop_ended(group: Group, tracker: Tracker, module: Members, checkpoint: Path) -> Group | None:
    """Return the group of the active members, or None if no members leave; rewrite the checkpoint for that group."""
    if not tracker.leaving:
        return None
    active, optimizer = tracker.active(), module.optimizers(use_pl_optimizer=False)
    assert isinstance(optimizer, GroupOptimizer)  # from `Members.configure_optimizers`
    keys = [group.jobs[m].key for m in active.tolist()]
    state = load(checkpoint, group.jobs[0].resolved["trust"])
    state["members"] = keys
    weights = state["state_dict"]
    state["state_dict"] = {
        name: t[active.to(t.device)] if name.startswith("stack.") else t for name, t in weights.items()
    }
    state["optimizer_states"] = [optimizer.state_of(active)]
    state["rates"] = module.rates.state_of(active)
    state["callbacks"][tracker.state_key] = tracker.state_of(active)
    save(state, checkpoint)
    log.info(f"{len(group.jobs) - len(keys)} of {len(group.jobs)} members have ended; the others continue without them")
    return group.only(keys)
