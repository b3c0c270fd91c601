"""The monitored value, which selects the best epoch: whether higher is better, and the name it is logged under.

Imports neither torch nor Lightning, because a sweep is checked before they are loaded.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any

from kindling import UserError

log = logging.getLogger("kindling")

VAL_LOSS, TRAIN_LOSS = "val/loss", "train/loss"
STAGES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Common names of metrics, as single words. The direction of a task's own metrics is given where they are defined.
_LOWER = """
    loss losses nll bce ce mse rmse mae mape smape msle rmsle medae error errors err perplexity ppl bpb bpc brier
    ece wer cer ter eer fid lpips hinge logloss crossentropy entropy divergence hamming distance deviance regret
"""
_HIGHER = """
    acc accuracy auc auroc rocauc auprc prauc ap f1 f2 fbeta f1score precision recall sensitivity specificity ppv
    npv tpr tnr iou miou jaccard dice mcc kappa r2 map ndcg mrr bleu rouge meteor psnr ssim pearson spearman corr
    correlation likelihood
"""
# Words that describe how a metric was averaged rather than which metric it is.
_NEUTRAL = """
    epoch mean avg average averaged macro micro weighted score rate coef coefficient squared absolute cross roc pr
    top top1 top3 top5 at best binary multiclass multilabel regression total per class balanced ema
"""
LOWER, HIGHER, NEUTRAL = (set(words.split()) for words in (_LOWER, _HIGHER, _NEUTRAL))


def split(name: str) -> tuple[str | None, str]:
    """Split a logged name into the stage ("train", "val", "test" or None) and the rest.

    `val/loss`, `val_loss`, `valid.loss` and `loss/val` give ("val", "loss").
    """
    words = re.split(r"([/_.\- ])", name)
    for place in (0, len(words) - 1):
        if len(words) > 1 and (stage := STAGES.get(words[place].lower())):
            return stage, "".join(words[2:] if place == 0 else words[:-2])
    return None, name


def direction(name: str) -> str | None:
    """Return "min" or "max" for a common metric in any usual spelling, or None if the name does not determine it."""
    if re.match(r"1\W", split(name)[1]):  # 1-auc
        return None
    words = [word for word in re.split(r"[^A-Za-z0-9]+", split(name)[1]) if word]
    if "".join(words).lower() in LOWER | HIGHER:  # log_loss, roc_auc
        words = ["".join(words)]
    known = LOWER | HIGHER | NEUTRAL
    parts = [[word] if word.lower() in known else re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", word) for word in words]
    found = {
        "min" if word in LOWER else "max" if word in HIGHER else None
        for part in parts
        for word in map(str.lower, part)
        if word not in NEUTRAL and not word.isdigit()
    }
    return found.pop() if len(found) == 1 else None


def logged_as(monitor: str, logged: Iterable[str]) -> str | None:
    """Return the name under which `monitor` was logged, or None.

    The validation and training loss, which are the defaults, may have any usual spelling (`val_loss`), provided that
    exactly one logged name matches.
    """
    logged = list(logged)
    if monitor in logged:
        return monitor
    if monitor in (VAL_LOSS, TRAIN_LOSS):
        # With on_step and on_epoch Lightning logs val_loss, val_loss_step and val_loss_epoch.
        alike = {name.removesuffix("_epoch") for name in logged if split(name.removesuffix("_epoch")) == split(monitor)}
        name = alike.pop() if len(alike) == 1 else None
        return f"{name}_epoch" if f"{name}_epoch" in logged else name
    return None


def direction_for(monitor: str, task_metrics: dict[str, bool], declared: dict[str, set[bool | None]]) -> str:
    """Return "min" or "max" for a model's monitored value, and log the reason.

    Args:
        monitor: the name of the monitored value.
        task_metrics: the task's metrics, name without stage -> whether higher is better.
        declared: the model's torchmetrics objects, name -> values of their `higher_is_better`.

    Raises:
        UserError: neither the task nor torchmetrics nor the name determines the direction.
    """
    name = split(monitor)[1]
    if name in task_metrics:
        return "max" if task_metrics[name] else "min"
    by_metric = declared.get(name.lower(), set()) - {None}
    by_name = direction(monitor)
    found = {"max" if higher else "min" for higher in by_metric} or ({by_name} if by_name else set())
    if len(found) != 1:
        metrics = f" The model's metrics are {', '.join(task_metrics)}." if task_metrics else ""
        raise UserError(
            f"monitor={monitor}: its name does not determine whether higher or lower is better.{metrics} "
            "If the name is right, set mode=max or mode=min."
        )
    mode = found.pop()
    if monitor not in (VAL_LOSS, TRAIN_LOSS):
        better, why = "higher" if mode == "max" else "lower", "torchmetrics" if by_metric else "its name"
        log.info(f"monitor={monitor}: {better} is better, according to {why}; set mode=... to change this")
    return mode


def check_callbacks(raw: dict[str, Any]) -> None:
    """Check that no callback uses the mode of a different monitored value.

    Args:
        raw: the composed config as plain data, with unresolved interpolations.

    Raises:
        UserError: a callback does; the message has the two ways to fix it.
    """
    for name, node in (raw.get("callbacks") or {}).items():
        monitor = (node or {}).get("monitor", "${monitor}")
        if monitor not in ("${monitor}", raw.get("monitor")) and "${mode}" in str(node):
            raise UserError(
                f"callbacks.{name} monitors {monitor} but would use the mode of monitor={raw.get('monitor')}: "
                f"set monitor={monitor} for all callbacks, or add callbacks.{name}.mode=min or max."
            )
