"""The value that picks the best epoch: whether higher is better, and under which name a model logs it.

Imports neither torch nor Lightning, because a sweep is checked before they are loaded.
"""

import logging
import re
from collections.abc import Iterable

from kindling import UserError

log = logging.getLogger("kindling")

VAL_LOSS, TRAIN_LOSS = "val/loss", "train/loss"
STAGES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Common names of metrics, as single words. Tasks state the direction of their own metrics beside the definition.
_LOWER = """
    loss losses nll bce ce mse rmse mae mape smape msle rmsle medae error errors err perplexity ppl bpb bpc brier
    ece wer cer ter eer fid lpips hinge logloss crossentropy entropy divergence hamming distance deviance regret
"""
_HIGHER = """
    acc accuracy auc auroc rocauc auprc prauc ap f1 f2 fbeta f1score precision recall sensitivity specificity ppv
    npv tpr tnr iou miou jaccard dice mcc kappa r2 map ndcg mrr bleu rouge meteor psnr ssim pearson spearman corr
    correlation likelihood
"""
# Words that say how a metric was averaged, not which one it is.
_NEUTRAL = """
    epoch mean avg average averaged macro micro weighted score rate coef coefficient squared absolute cross roc pr
    top top1 top3 top5 at best binary multiclass multilabel regression total per class balanced ema
"""
LOWER, HIGHER, NEUTRAL = (set(words.split()) for words in (_LOWER, _HIGHER, _NEUTRAL))


def split(name: str) -> tuple[str | None, str]:
    """Return the stage ("train", "val" or "test", or None) and the rest of a logged name.

    `val/loss`, `val_loss`, `valid.loss` and `loss/val` give ("val", "loss").
    """
    words = re.split(r"([/_.\- ])", name)
    for place in (0, len(words) - 1):
        if len(words) > 1 and (stage := STAGES.get(words[place].lower())):
            return stage, "".join(words[2:] if place == 0 else words[:-2])
    return None, name


def direction(name: str) -> str | None:
    """Return "min" or "max" for a common metric's name in any usual spelling, None where the name does not tell."""
    if re.match(r"1\W", split(name)[1]):  # 1-auc
        return None
    words = [word for word in re.split(r"[^A-Za-z0-9]+", split(name)[1]) if word]
    if "".join(words).lower() in LOWER | HIGHER:  # log_loss, roc_auc
        words = ["".join(words)]
    known = LOWER | HIGHER | NEUTRAL
    parts = [[word] if word.lower() in known else re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", word) for word in words]
    told = {
        "min" if word in LOWER else "max" if word in HIGHER else None
        for part in parts
        for word in map(str.lower, part)
        if word not in NEUTRAL and not word.isdigit()
    }
    return told.pop() if len(told) == 1 else None


def logged_as(monitor: str, logged: Iterable[str]) -> str | None:
    """Return the name under which `monitor` was logged, or None.

    The validation and the training loss, which are the defaults, may be spelled in any usual way (`val_loss`), as long
    as there is exactly one such name.
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


def direction_for(monitor: str, own: dict[str, bool], said: dict[str, set[bool | None]]) -> str:
    """Return "min" or "max" for a model's monitored value, and log what that is based on.

    Args:
        monitor: the name of the monitored value.
        own: the task's metrics, name without stage -> whether higher is better.
        said: the model's torchmetrics objects, name -> what their `higher_is_better` says.

    Raises:
        UserError: neither the task nor torchmetrics nor the name tells.
    """
    name = split(monitor)[1]
    if name in own:
        return "max" if own[name] else "min"
    of_metric, by_name = said.get(name.lower(), set()) - {None}, direction(monitor)
    found = {"max" if higher else "min" for higher in of_metric} or {by_name}
    if len(found) > 1 or None in found:
        metrics = f" The model's metrics are {', '.join(own)}." if own else ""
        raise UserError(
            f"monitor={monitor}: the name does not tell whether higher or lower is better.{metrics} "
            "Say mode=max or mode=min if it is right."
        )
    chosen = found.pop()
    if monitor not in (VAL_LOSS, TRAIN_LOSS):
        why = "torchmetrics says so" if of_metric else "judging by its name"
        log.info(f"monitor={monitor}: {'higher' if chosen == 'max' else 'lower'} is better, {why}; mode=... to change")
    return chosen


def check_callbacks(raw: dict) -> None:
    """Refuse a callback's own monitored value with the direction of another one.

    Args:
        raw: the composed config as plain data, interpolations as they are.

    Raises:
        UserError: with the two ways to say it.
    """
    for name, node in (raw.get("callbacks") or {}).items():
        monitor = (node or {}).get("monitor", "${monitor}")
        if monitor not in ("${monitor}", raw.get("monitor")) and "${mode}" in str(node):
            raise UserError(
                f"callbacks.{name}.monitor={monitor} would be compared with the mode of monitor={raw.get('monitor')}: "
                f"say monitor={monitor}, which all callbacks read, or add callbacks.{name}.mode=min or max."
            )
