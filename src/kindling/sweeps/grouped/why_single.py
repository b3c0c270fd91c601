"""Find out why a job cannot train in a group; only what is known to give the same results is allowed to."""

import math

import pytorch_lightning as pl
import torch
from torch import nn
from torch.func import functional_call, vmap

from kindling.data.base import Data
from kindling.models.base import Model
from kindling.sweeps.grouped.stack import layers_of
from kindling.sweeps.grouped.update import LINEAR
from kindling.training.device import SHORT

# Callbacks that Tracker and its group reproduce for members; by name, because some can be stripped.
REQUIRED = (
    "kindling.training.divergence.Divergence",
    "kindling.training.metrics_csv.Records",
    "kindling.training.checkpoint.BestAndLast",
)
REPRODUCED = (
    *REQUIRED,
    *(
        "kindling.training.stopping.early_stopping",
        "kindling.callbacks.weight_init.init",
        "kindling.callbacks.regularization.gradients",
        "kindling.callbacks.weight_averaging.Averaged",
        "kindling.training.progress.ProgressLine",
        "kindling.callbacks.confusion_matrix.ConfusionMatrix",
    ),
    "kindling.callbacks.pictures.Pictures",  # pictures of the best jobs are drawn afterwards
    "kindling.callbacks.doctor.Doctor",  # only for single runs
    "kindling.callbacks.equation.Equation",  # only for single runs
)
DISABLED = {  # callback -> (argument, value) that disables it
    "kindling.callbacks.compile.compile": ("compile", False),
    "kindling.callbacks.calibration.calibration": ("calibrate", False),
    "kindling.training.stopping.last_step": ("max_steps", -1),
}
SCHEDULE = "kindling.callbacks.lr_schedule.Schedule"
TORCH_SCHEDULES = (
    *("CosineAnnealingLR", "StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "OneCycleLR"),
    "ReduceLROnPlateau",
)
OWN_SCHEDULES = ("kindling.callbacks.lr_schedule.CosLog",)
TRAINER = {  # arguments of the Trainer that apply to a whole group; any other has to be None
    *("_target_", "max_epochs", "precision", "num_sanity_val_steps", "enable_progress_bar", "enable_model_summary"),
    *("default_root_dir", "accelerator", "deterministic", "benchmark"),
}
TORCH_NOISE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
OWN_NOISE = ("Dropout", "RReLU")  # of kindling.models.noise
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def why_by_config(resolved: dict) -> str | None:
    """Return the reason found in the config, or None.

    Args:
        resolved: the job's resolved config, as plain data.
    """
    return (
        _why_callbacks(resolved["callbacks"])
        or _why_trainer(resolved)
        or _why_optimizer(resolved.get("model", {}).get("optimizer"))
        or _why_logger(resolved.get("logger") or {})
    )


def why_by_model(model: pl.LightningModule, data: pl.LightningDataModule, patience: int | None) -> str | None:
    """Return the reason found in the built model and data, or None."""
    if not isinstance(model, Model) or not isinstance(data, Data):
        other = data if isinstance(model, Model) else model
        return f"{type(other).__name__} is not a subclass of Kindling's base class"
    for kind, base, allowed in ((type(model), Model, ("forward",)), (type(data), Data, ("load",))):
        if overridden := _overridden(kind, base, allowed):
            return f"{kind.__name__} overrides {overridden}"
    x, _ = data.samples["train"]
    if any(isinstance(layer, CONVOLUTIONS) for layer in model.modules()):
        return "convolutions are not faster in a group"
    if data.examples.shift:
        return "images are shifted randomly"
    if any(not p.requires_grad for p in model.parameters()):
        return "some weights are frozen"
    batch = data.samples_per_step
    if batch * sum(p.numel() for p in model.parameters()) > SHORT:
        return "the network is too large to train faster in a group"
    if any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules()) and 1 in (
        batch,
        len(x) * data.passes % batch,
    ):
        return "batch norm needs two samples in every batch"
    if patience is not None and not len(data.samples["val"][1]):
        return "patience needs validation samples"
    return _why_random(model, x) or (None if layers_of(model) else _why_vmap(model, x))


def _why_callbacks(nodes: dict) -> str | None:
    nodes = {name: node for name, node in nodes.items() if node}
    for name, node in nodes.items():
        target = node["_target_"]
        if node.get("pictures") == "series":
            return "pictures=series draws during training"
        argument, disabled = DISABLED.get(target, (None, None))
        known = target in REPRODUCED or (argument and node[argument] == disabled)
        if not known and not (target == SCHEDULE and _changes_only_lr(node["build"])):
            return f"callbacks.{name} works only in single runs"
    missing = [target for target in REQUIRED if target not in [node["_target_"] for node in nodes.values()]]
    return f"{missing[0]} is missing" if missing else None


def _changes_only_lr(build: dict) -> bool:
    """Return whether a scheduler changes only the learning rate."""
    module, _, name = build["_target_"].rpartition(".")
    if name == "OneCycleLR" and build.get("cycle_momentum") is not False:
        return False
    return (module == "torch.optim.lr_scheduler" and name in TORCH_SCHEDULES) or build["_target_"] in OWN_SCHEDULES


def _why_trainer(resolved: dict) -> str | None:
    node = resolved["trainer"]
    if str(node.get("strategy", "")).startswith("ddp"):
        return "it uses several processes"
    if node["_target_"] not in ("kindling.training.device.auto", "pytorch_lightning.Trainer"):
        return f"{node['_target_']} is a custom trainer"
    if node.get("devices", 1) != 1:
        return "it uses several devices"
    for key, value in node.items():
        if key not in TRAINER and key != "devices" and value is not None:
            return f"trainer.{key} works only in single runs"
    if resolved.get("data", {}).get("steps_per_execution", "auto") == 1:
        return "steps_per_execution=1 requires one mini-batch per training step"
    return None


def _why_optimizer(node: dict | None) -> str | None:
    if not node:
        return "its optimizer does not come from conf/optimizer"
    module, _, name = node["_target_"].rpartition(".")
    if not module.startswith("torch.optim") or name not in LINEAR:
        return f"the step of {name} is not proportional to the learning rate"
    if not isinstance(node.get("lr"), int | float) or not isinstance(node.get("weight_decay", 0.0), int | float):
        return "lr or weight_decay is not a number"
    unsupported = [key for key in ("maximize", "capturable", "differentiable") if node.get(key)]
    return f"optimizer.{unsupported[0]} is set" if unsupported else None


def _why_logger(nodes: dict) -> str | None:
    others = [
        name for name, node in nodes.items() if node and node["_target_"] != "kindling.training.loggers.TensorBoard"
    ]
    return f"logger.{others[0]} records only single runs" if others else None


def _overridden(kind: type, base: type, allowed: tuple[str, ...]) -> str | None:
    """Return an attribute of `base` or of Lightning that a subclass overrides although it is not allowed, or None."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    names = [name for cls in between for name in vars(cls) if not name.startswith("__") and name != "_abc_impl"]
    return next((name for name in names if name not in allowed and hasattr(base, name)), None)


def _why_random(model: Model, x: torch.Tensor) -> str | None:
    """Return which layer draws random numbers in training mode from torch's global generator, or None."""
    noisy = [name for name, layer in model.named_modules() if isinstance(layer, TORCH_NOISE)]
    if noisy:
        kind = type(model.get_submodule(noisy[0])).__name__
        own = f"; kindling.models.noise.{kind} can train in groups" if kind in OWN_NOISE else ""
        return f"{noisy[0]}, torch's {kind}, uses torch's global random generator{own}"
    state = torch.get_rng_state()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        model(x[:2].float())
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    drawn = not torch.equal(state, torch.get_rng_state())
    torch.set_rng_state(state)
    return "its forward pass uses torch's global random generator" if drawn else None


def _why_vmap(model: Model, x: torch.Tensor) -> str | None:
    """Return why torch.func.vmap does not compute two copies of the model like the model itself, or None."""
    x = x[:8].float()
    weights, buffers = (
        {name: torch.stack([tensor.detach()] * 2) for name, tensor in named}
        for named in (model.named_parameters(), model.named_buffers())
    )
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            single = model(x)
            call = vmap(lambda w, b, x: functional_call(model, (w, b), (x,)), randomness="error")
            both = call(weights, buffers, torch.stack([x, x]))
        same = torch.allclose(both, single.expand_as(both), rtol=1e-4, atol=1e-5)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        return f"torch.func.vmap cannot run its forward pass ({str(error).splitlines()[0][:80]})"
    finally:
        model.train(training)
    return None if same or not math.isfinite(float(single.abs().sum())) else "torch.func.vmap gives different logits"
