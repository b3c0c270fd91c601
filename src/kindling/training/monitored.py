"""The monitored value of a model: its name, its direction, and comparisons between epochs."""

import logging
import math
import re
from difflib import get_close_matches

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torchmetrics import Metric

from kindling import UserError
from kindling.cli.conf import is_builtin
from kindling.cli.monitor import HIGHER, LOWER, TRAIN_LOSS, VAL_LOSS, direction_for, logged_as, split
from kindling.models.base import Model

log = logging.getLogger("kindling")
NEVER_DEFINED = (
    "was undefined (not a finite number) in every epoch, so there is no best epoch. AUROC, for example, needs "
    "validation samples of every class: monitor another metric, or increase data.val_share."
)


def mode_of(monitor: str, given: str | None, model: pl.LightningModule) -> str:
    """Return "min" or "max" for the monitored value of this model.

    Args:
        monitor: the name of the monitored value.
        given: "min" or "max" if the user has set it; None: see `direction_for`.
        model: the model that logs the value.

    Raises:
        UserError: a model in this package has no such value, and `given` is None or the name seems misspelt; or the
            direction is unknown.
    """
    task_metrics = {"loss": False, **model.task.higher_is_better} if isinstance(model, Model) else {}
    added = model.custom_metrics if isinstance(model, Model) else {}
    names = [f"{stage}/{name}" for stage in ("val", "train") for name in (*task_metrics, *added)]
    is_unknown = isinstance(model, Model) and is_builtin(type(model).__module__) and monitor not in names
    if is_unknown and (not given or _is_misspelt(monitor, names)):
        hint = "" if given else "; or set mode=max or mode=min if the model or a callback logs it"
        raise UserError(f"monitor={monitor} is not a value of this model: choose {', '.join(names)}{hint}.")
    declared: dict[str, set[bool | None]] = {}
    for path, module in (*model.named_modules(), *added.items()):
        if isinstance(module, Metric):
            for name in (split(path.rpartition(".")[2])[1], type(module).__name__):
                declared.setdefault(name.lower(), set()).add(module.higher_is_better)
    name = split(monitor)[1]
    if given and name in task_metrics and given != ("max" if task_metrics[name] else "min"):
        log.info(f"mode={given}: the epoch with the {'highest' if given == 'max' else 'lowest'} {monitor} is the best")
    return given or direction_for(monitor, task_metrics, declared)


def _is_misspelt(name: str, names: list[str]) -> bool:
    """Return whether a name is nearly one of the names, and neither a common metric nor one with another digit."""
    is_common = split(name)[1].lower() in LOWER | HIGHER or re.sub(r"\d+", "", name) in names
    return not is_common and bool(get_close_matches(name, names, 1, 0.9))


def worst(mode: str) -> float:
    """Return the infinite score that is worse than any finite one."""
    return -math.inf if mode == "max" else math.inf


def is_better(score: Tensor, than: Tensor, mode: str) -> Tensor:
    """Return, elementwise, whether a score (...) is better than another; an undefined score (NaN) never is."""
    return score > than if mode == "max" else score < than


def is_best(score: Tensor, best: Tensor, losses: list[Tensor], mode: str, ties: str = "first") -> Tensor:
    """Return whether an epoch is the best so far, for one run () or elementwise for many (M,).

    Args:
        score: the epoch's monitored value.
        best: the best score of the earlier epochs, or `worst` if there are none.
        losses: the epoch's losses; if one is not finite, the epoch is not the best.
        mode: "min" or "max".
        ties: "first" or "last": which of several epochs with the best score counts.
    """
    is_finite = torch.stack([score.isfinite(), *(loss.isfinite() for loss in losses)]).all(0)
    is_tie = (score == best) & (ties == "last")
    return is_finite & (is_better(score, best, mode) | is_tie)


def best_scalars(metrics: dict[str, float | None]) -> dict[str, float]:
    """Return the best epoch's validation metrics, or else training metrics, under names that TensorBoard sorts last."""
    stage = "val" if any(split(name)[0] == "val" for name in metrics) else "train"
    found = {name: value for name, value in metrics.items() if split(name)[0] == stage and value is not None}
    return {f"with_best_weights/{name.replace('/', '_')}": value for name, value in found.items()}


def monitored_name(monitor: str, trainer: pl.Trainer, is_compared: bool) -> tuple[str | None, str]:
    """Return the logged name of the value to compare at the end of an epoch, and a line to log if it is unusual.

    Without a validation loss it is the training loss, or None.

    Args:
        monitor: the name of the monitored value.
        trainer: has the logged values.
        is_compared: whether an earlier epoch had the monitored value.

    Raises:
        UserError: the value was not logged, or only other validation values than the default were.
    """
    metrics, module = trainer.callback_metrics, type(trainer.lightning_module).__name__
    if name := logged_as(monitor, metrics):
        return name, f"monitor={name}, the validation loss of {module}" if name != monitor else ""
    name, is_last = logged_as(TRAIN_LOSS, metrics), trainer.current_epoch + 1 == trainer.max_epochs
    if not _is_due(trainer) and (is_compared or not is_last):
        return name, ""
    others = [other for other in metrics if other != "lr"]
    choices = f"Logged: {', '.join(others)}. Set monitor=... to one of these." if others else "The model logs nothing."
    if monitor != VAL_LOSS:
        raise UserError(f"monitor={monitor} was not logged. {choices}")
    if any(split(other)[0] == "val" for other in others):
        raise UserError(f"{module} logs no validation loss for monitor={VAL_LOSS}. {choices}")
    score = f"its {name} is the score" if name else "there is no score"
    return name, f"{_why_unmonitored(trainer, module)}, so the last epoch counts as the best, and {score}"


def validated(trainer: pl.Trainer) -> bool:
    """Return whether the epoch that is ending was validated."""
    return any(trainer.num_val_batches) and _is_due(trainer)


def _is_due(trainer: pl.Trainer) -> bool:
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


def _why_unmonitored(trainer: pl.Trainer, module: str) -> str:
    if not is_overridden("validation_step", trainer.lightning_module, pl.LightningModule):
        return f"{module} has no validation_step"
    if not trainer.enable_validation:
        return "validation is disabled"
    if not _is_due(trainer):
        return "no epoch was validated"
    return f"{module} logs no validation loss" if any(trainer.num_val_batches) else "there are no validation samples"
