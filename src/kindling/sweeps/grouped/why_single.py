"""Why a job is not trained together with others: only what is known to come out the same is."""

import math

import pytorch_lightning as pl
import torch
from torch import nn
from torch.func import functional_call, vmap

from kindling.data.base import Data
from kindling.models.base import Model
from kindling.sweeps.grouped.stack import layers_of
from kindling.sweeps.grouped.update import LINEAR
from kindling.training.trainer import SHORT

# Callbacks that are repeated for members; by name, so that one may be stripped.
NEEDED = (
    "kindling.training.divergence.Divergence",
    "kindling.training.metrics_csv.Records",
    "kindling.training.checkpoint.BestAndLast",
)
REPEATED = (
    *NEEDED,
    *(
        "kindling.training.stopping.early_stopping",
        "kindling.callbacks.weight_init.init",
        "kindling.callbacks.regularization.gradients",
    ),
    *(
        "kindling.callbacks.weight_averaging.Averaged",
        "kindling.training.progress.ProgressLine",
        "kindling.callbacks.confusion_matrix.ConfusionMatrix",
    ),
    "kindling.callbacks.pictures.Pictures",  # drawn of the best jobs, afterwards
    "kindling.callbacks.doctor.Doctor",  # looks at single runs alone
    "kindling.callbacks.equation.Equation",  # of single runs alone
)
ABSENT = {  # with this argument the callback is none
    "kindling.callbacks.compile.compile": ("compile", False),
    "kindling.training.stopping.last_step": ("max_steps", -1),
}
SCHEDULE = "kindling.callbacks.lr_schedule.Schedule"
SCHEDULES = (
    *("CosineAnnealingLR", "StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "OneCycleLR"),
    "ReduceLROnPlateau",
)
TRAINER = {  # arguments of the Trainer that members share; of any other, None is neutral
    *("_target_", "max_epochs", "precision", "num_sanity_val_steps", "enable_progress_bar", "enable_model_summary"),
    *("default_root_dir", "accelerator", "deterministic", "benchmark"),
}
TORCHS_NOISE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
OWN_NOISE = {nn.Dropout: "Dropout", nn.RReLU: "RReLU"}
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def why_by_config(resolved: dict) -> str | None:
    """The reason that stands in the config, or None.

    Args:
        resolved: the job's config, as plain data.
    """
    return (
        _why_callbacks(resolved["callbacks"])
        or _why_trainer(resolved)
        or _why_optimizer(resolved.get("model", {}).get("optimizer"))
        or _why_logger(resolved.get("logger") or {})
    )


def why_by_model(model: pl.LightningModule, data: pl.LightningDataModule, patience: int | None) -> str | None:
    """The reason that lies in the built model and data, or None."""
    if not isinstance(model, Model) or not isinstance(data, Data):
        odd = data if isinstance(model, Model) else model
        return f"{type(odd).__name__} is not made from Kindling's base class"
    for thing, base, own in ((model, Model, ("forward",)), (data, Data, ("load",))):
        replaced = _replaced(type(thing), base, own)
        if replaced:
            return f"{type(thing).__name__} has a {replaced} of its own"
    x, _ = data.samples["train"]
    if any(isinstance(layer, CONVOLUTIONS) for layer in model.modules()):
        return "convolutions gain nothing by it"
    if data.examples.shift:
        return "images are moved at random"
    if any(not p.requires_grad for p in model.parameters()):
        return "some weights are frozen"
    batch = data.samples_per_step
    if batch * sum(p.numel() for p in model.parameters()) > SHORT:
        return "a step is so long that it gains nothing by it"
    if any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules()) and 1 in (
        batch,
        len(x) * data.passes % batch,
    ):
        return "batch norm needs two samples in every batch"
    if patience is not None and not len(data.samples["val"][1]):
        return "patience needs validation rows"
    return _why_random(model, x) or (None if layers_of(model) else _why_vmap(model, x))


def _why_callbacks(nodes: dict) -> str | None:
    nodes = {name: node for name, node in nodes.items() if node}
    for name, node in nodes.items():
        target = node["_target_"]
        if node.get("pictures") == "series":
            return "pictures=series draws while a run trains"
        argument, absent = ABSENT.get(target, (None, None))
        known = target in REPEATED or (argument and node[argument] == absent)
        if not known and not (target == SCHEDULE and _is_linear(node["build"])):
            return f"callbacks.{name} works on single runs"
    missing = [target for target in NEEDED if target not in [node["_target_"] for node in nodes.values()]]
    return f"{missing[0]} is left out" if missing else None


def _is_linear(build: dict) -> bool:
    """Whether a scheduler moves nothing but the learning rate."""
    module, _, name = build["_target_"].rpartition(".")
    if name == "OneCycleLR" and build.get("cycle_momentum") is not False:
        return False
    return module == "torch.optim.lr_scheduler" and name in SCHEDULES


def _why_trainer(resolved: dict) -> str | None:
    node = resolved["trainer"]
    if str(node.get("strategy", "")).startswith("ddp"):
        return "several processes"
    if node["_target_"] not in ("kindling.training.trainer.auto", "pytorch_lightning.Trainer"):
        return f"{node['_target_']} is a trainer of your own"
    if node.get("devices", 1) != 1:
        return "several devices"
    for key, value in node.items():
        if key not in TRAINER and key != "devices" and value is not None:
            return f"trainer.{key} acts on single runs"
    if resolved.get("data", {}).get("steps_per_execution", "auto") == 1:
        return "steps_per_execution=1 asks for one mini-batch a training step"
    return None


def _why_optimizer(node: dict | None) -> str | None:
    if not node:
        return "its optimizer is none of conf/optimizer"
    module, _, name = node["_target_"].rpartition(".")
    if not module.startswith("torch.optim") or name not in LINEAR:
        return f"{name}'s step is not in proportion to the learning rate"
    if not isinstance(node.get("lr"), int | float) or not isinstance(node.get("weight_decay", 0.0), int | float):
        return "lr or weight_decay is no number"
    odd = [key for key in ("maximize", "capturable", "differentiable") if node.get(key)]
    return f"optimizer.{odd[0]} is set" if odd else None


def _why_logger(nodes: dict) -> str | None:
    others = [
        name for name, node in nodes.items() if node and node["_target_"] != "kindling.training.loggers.TensorBoard"
    ]
    return f"logger.{others[0]} records single runs" if others else None


def _replaced(kind: type, base: type, own: tuple[str, ...]) -> str | None:
    """A method or attribute of `base`, or of Lightning, that a subclass has replaced."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    names = [name for cls in between for name in vars(cls) if not name.startswith("__") and name != "_abc_impl"]
    return next((name for name in names if name not in own and hasattr(base, name)), None)


def _why_random(model: Model, x: torch.Tensor) -> str | None:
    """Whether a forward pass in training mode draws random numbers."""
    torchs = [name for name, layer in model.named_modules() if isinstance(layer, TORCHS_NOISE)]
    if torchs:
        layer = model.get_submodule(torchs[0])
        own = f": kindling.models.noise.{OWN_NOISE[type(layer)]} trains in groups" if type(layer) in OWN_NOISE else ""
        return f"{torchs[0]}, torch's {type(layer).__name__}, draws from the global random numbers{own}"
    state = torch.get_rng_state()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        model(x[:2].float())
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    drawn = not torch.equal(state, torch.get_rng_state())
    torch.set_rng_state(state)
    return "its forward pass draws random numbers" if drawn else None


def _why_vmap(model: Model, x: torch.Tensor) -> str | None:
    """Whether torch.func.vmap computes two copies as one by one."""
    x = x[:8].float()
    named = [dict(model.named_parameters()), dict(model.named_buffers())]
    twice = [{k: torch.stack([v.detach(), v.detach()]) for k, v in n.items()} for n in named]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = model(x)
            call = vmap(lambda w, b, x: functional_call(model, (w, b), (x,)), randomness="error")
            both = call(*twice, torch.stack([x, x]))
        same = torch.allclose(both, alone.expand_as(both), rtol=1e-4, atol=1e-5)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        return f"torch.func.vmap cannot run its forward pass ({str(error).splitlines()[0][:80]})"
    finally:
        model.train(training)
    return None if same or not math.isfinite(float(alone.abs().sum())) else "torch.func.vmap computes it differently"
