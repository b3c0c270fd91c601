"""Which direction of the monitored value is better for a model, and what is recorded of the best epoch."""

import pytorch_lightning as pl
from torchmetrics import Metric

from kindling import UserError
from kindling.models import Model
from kindling.monitor import direction_for, split

NEVER_DEFINED = (
    "was undefined (not a finite number) in every epoch, so no epoch is the best. AUROC, for example, needs validation "
    "samples of every class: monitor another value, or give validation more samples with data.val_share=..."
)


def mode_of(monitor: str, given: str | None, model: pl.LightningModule) -> str:
    """Return "min" or "max" for the monitored value of this model.

    Args:
        given: "min" or "max" where the user says so; otherwise see `direction_for`.

    Raises:
        UserError: a model of this package has no such value, or nothing tells its direction.
    """
    own = {"loss": False, **model.task.higher_is_better} if isinstance(model, Model) else {}
    names = [f"{stage}/{name}" for stage in ("val", "train") for name in own]
    if type(model).__module__.startswith(f"{__package__}.") and monitor not in names:
        raise UserError(f"monitor={monitor} is none of this model's: choose {', '.join(names)}.")
    said: dict[str, set] = {}
    for path, module in model.named_modules():
        if isinstance(module, Metric):
            for name in (split(path.rpartition(".")[2])[1], type(module).__name__):
                said.setdefault(name.lower(), set()).add(module.higher_is_better)
    return given or direction_for(monitor, own, said)


def best_scalars(metrics: dict[str, float | None]) -> dict[str, float]:
    """Return the best epoch's validation metrics, else the training's, under names that TensorBoard sorts last."""
    stage = "val" if any(split(name)[0] == "val" for name in metrics) else "train"
    found = {name: value for name, value in metrics.items() if split(name)[0] == stage and value is not None}
    return {f"with_best_weights/{name.replace('/', '_')}": value for name, value in found.items()}
