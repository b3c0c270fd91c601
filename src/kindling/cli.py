"""The command line: help, refusals, run folders. Torch is imported by `build` at the earliest."""

import contextlib
import inspect
import logging
import os
import re
import secrets
import shlex
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException, MissingConfigException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError, knobs, resume
from kindling.files import PROJECT  # before Hydra may change the working folder

# Before torch is imported. Its waiting threads spin for long, on a busy machine on the core that another of them needs.
# An epoch of MNIST on 2 cores: 2.9 s with and without; beside one busy process 12 s in place of 113 s.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

log = logging.getLogger("kindling")
CONF = Path(sys.argv[0]).resolve().parent / "conf"
CONF = CONF if CONF.is_dir() else PROJECT / "conf"


HIGHER = ("accuracy", "precision", "recall", "f1", "auroc", "auroc_micro", "r2")  # metrics of which more is better
# Launchers that are Hydra's once their package is installed.
PACKAGES = {"joblib": "joblib", "ray": "ray", "submitit_local": "submitit", "submitit_slurm": "submitit"}
NO_KNOBS = ("folder", "resume", "verbose", "test", "repeat", "folds", "on_error")  # of how a run is run
HELP = """Train one variant:   python train.py [group=choice ...] [knob=value ...]
Sweep over several:  python train.py -m activation=relu,tanh depth=1,2,4

{choices}

--cfg job prints the composed config; all in it can be overridden, e.g. +trainer.deterministic=true.
--hydra-help lists Hydra's own flags."""


def help_text() -> str:
    """Every group's choices with the first line of their comment, and every knob with its own.

    Not Hydra's template: Hydra reads every yaml of every group first (0.2 s for 25 of them).
    """
    lines = []
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        lines.append(f"{folder.name}:")
        for name in _names(folder):
            text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
            comments = (line[1:].strip() for line in text.splitlines() if line.startswith("#"))
            lines.append(f"  {name:22} {next((line for line in comments if not line.startswith('@')), '')}")
    lines.append("knobs:")
    for line in (CONF / "config.yaml").read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\w+): (\S.*?)\s+# (.*)", line)
        if match:
            lines.append(f"  {match[1]:22} {match[3]} (default {match[2]})")
    return HELP.format(choices="\n".join(lines))


def build(node: DictConfig, **offers):
    """Call what `node` describes, with those of `offers` that it names (all of them if it takes `**kwargs`)."""
    parameters = inspect.signature(get_object(node._target_)).parameters.values()
    everything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    chosen = {k: v for k, v in offers.items() if (everything or k in names) and k not in node}
    try:
        return instantiate(node, **chosen, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error  # Hydra hides it behind the target's name
        if type(cause).__name__ == "MisconfigurationException":  # Lightning's word for what a user can mend
            raise UserError(f"{node._target_}: {cause}") from cause
        raise cause from None


def knob_values(cfg: DictConfig) -> dict:
    """The flat values and the choices of groups: what differs between runs, as plain data."""
    raw = OmegaConf.to_container(cfg, resolve=True)
    values = {k: v for k, v in raw.items() if not isinstance(v, dict) and k not in NO_KNOBS}
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    if cfg.resume:  # what was chosen at the start
        choices = OmegaConf.load(Path(cfg.folder) / ".hydra" / "hydra.yaml").hydra.runtime.choices
    return {**{k: v for k, v in choices.items() if "/" not in k and v}, **values}


def wants_test(cfg: DictConfig) -> bool:
    """Whether to score the test rows: of a sweep's jobs only where it was asked for."""
    in_sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    return cfg.test is True or (cfg.test == "auto" and not in_sweep)


def command(overrides: list[str]) -> str:
    """What reproduces the run, without how it was resumed; of an experiment that sweeps, the one run."""
    words = [word for word in overrides if not word.startswith(("resume=", "folder=", "test="))]
    file = CONF / "experiment" / f"{resume.typed(words).get('experiment')}.yaml"
    own = yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}
    if (own.get("hydra") or {}).get("mode") == "MULTIRUN":
        words.append("hydra.mode=RUN")
    return shlex.join(["python", "train.py", *words])


def say_notes(cfg: DictConfig, overrides: list[str]) -> None:
    """A line for every typed knob that does nothing."""
    raw = OmegaConf.to_container(cfg, resolve=True)
    for line in knobs.notes(resume.typed(overrides), raw, OmegaConf.to_yaml(cfg), CONF):
        log.info(line)


def changed(overrides, above: str = "data model") -> str:
    """The typed knobs as part of a folder's name, without those that stand in the folder above it."""
    left_out = (*above.split(), "verbose", "logger", "resume")
    shown = [word.lstrip("+~") for word in overrides if word.split("=")[0] not in left_out]
    name = re.sub(r"[^A-Za-z0-9_=.,+-]+", "-", "_".join(shown)).strip("-")
    return f"_{name[:100]}" if name else ""


def _names(group: Path) -> list[str]:
    """The choices of a group; a file that starts with _ is for others to build on."""
    return [file.relative_to(group).with_suffix("").as_posix() for file in sorted(group.rglob("[!_]*.yaml"))]


OmegaConf.register_new_resolver("unique", lambda: secrets.token_hex(3), use_cache=True)
OmegaConf.register_new_resolver("or", lambda *values: next((value for value in values if value), None))
OmegaConf.register_new_resolver("changed", changed)
OmegaConf.register_new_resolver("better", lambda monitor: "max" if monitor.endswith(HIGHER) else "min")


class Check(Callback):
    """Runs before the run's folder is made. Hydra swallows a callback's exceptions, but not SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs) -> None:
        folder = OmegaConf.to_container(config.hydra.run, resolve=False)["dir"]
        typed = "${" not in folder and not config.resume and "LOCAL_RANK" not in os.environ
        if typed and (Path(folder) / ".claim").exists():  # Hydra would write over its .hydra/
            _refuse(f"{folder} has a run already: leave hydra.run.dir out, or continue it with resume={folder}.")
        self._check(config)

    def on_job_start(self, config: DictConfig, **kwargs) -> None:
        self._check(config)  # of a sweep, where on_run_start is not called

    def _check(self, config: DictConfig) -> None:
        # What interpolates the run's folder cannot be resolved yet.
        later = ("hydra", "folder", "callbacks", "logger", "trainer")
        job = OmegaConf.masked_copy(config, [key for key in config if key not in later])
        missing = OmegaConf.missing_keys(job)
        if missing:
            _refuse(f"{', '.join(sorted(missing))} must be given, e.g. {min(missing)}=...")
        if config.trainer.get("strategy") == "ddp" and config.hydra.mode == RunMode.MULTIRUN:
            _refuse("trainer=ddp would start the whole sweep again in every process: start its runs one by one.")
        flat = {key: job[key] for key in job if not OmegaConf.is_dict(job[key])}
        with plain_errors():
            knobs.check(OmegaConf.to_container(OmegaConf.create(flat)))


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """One message and exit code 2 for what the user can mend; everything else keeps its traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra lets its exceptions through
    try:
        yield
    except UserError as error:
        _refuse(str(error))
    except MissingConfigException as error:
        *group, choice = (error.missing_cfg_file or "").split("/", 2 if "hydra/" in str(error.missing_cfg_file) else 1)
        group = "/".join(group)
        if choice in PACKAGES:
            _refuse(f"{group}={choice} needs another package: pip install '.[{PACKAGES[choice]}]'")
        known = sorted({*_names(CONF / group), *(name for name in error.options or [] if name[0] != "_")})
        _refuse(f"{group}={choice} is unknown." + _near(choice, known) if group else str(error))
    except CompactHydraException as error:
        cause = error.__cause__
        if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None:
            names = [str(name) for name in cause.parent_node if name != "hydra"]
            _refuse(f"{cause.full_key or cause.key} is unknown." + _near(str(cause.key), names))
        _refuse(str(error))
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's word for group=null
            raise
        _refuse(f"A group takes a choice, not null; to leave one out write ~experiment. ({error})")


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return (f" Did you mean {near[0]}?" if near else "") + (f" Known: {', '.join(sorted(known))}." if known else "")


def _refuse(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)
