"""The command line: help, refusals before torch is imported, run folders, resume. Torch is imported by `build` at the earliest."""

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
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError, knobs

log = logging.getLogger("kindling")
CONF = Path(sys.argv[0]).resolve().parent / "conf"
CONF = CONF if CONF.is_dir() else Path(__file__).parents[2] / "conf"
RESUMABLE = ("epochs", "trainer", "verbose", "resume")  # what a resumed run may change


def build(node: DictConfig, **offers):
    """Call what `node` describes, with those of `offers` that it names (all of them if it takes `**kwargs`)."""
    parameters = inspect.signature(get_object(node._target_)).parameters.values()
    everything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    chosen = {k: v for k, v in offers.items() if (everything or k in names) and k not in node}
    try:
        return instantiate(node, **chosen, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error  # Hydra hides it behind the target's name


def knob_values(cfg: DictConfig) -> dict:
    """The flat values and the choices of groups: what differs between runs, as plain data."""
    raw = OmegaConf.to_container(cfg, resolve=True)
    values = {k: v for k, v in raw.items() if not isinstance(v, dict) and k not in ("folder", "resume", "verbose")}
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    return {**{k: v for k, v in choices.items() if "/" not in k and v}, **values}


def command(overrides: list[str]) -> str:
    """What reproduces the run, without how it was resumed."""
    words = [word for word in overrides if not word.startswith(("resume=", "folder="))]
    return shlex.join(["python", "train.py", *words])


def say_notes(cfg: DictConfig, overrides: list[str]) -> None:
    """A line for every typed knob that does nothing."""
    raw = OmegaConf.to_container(cfg, resolve=True)
    for line in knobs.notes(_typed(overrides), raw, OmegaConf.to_yaml(cfg), CONF):
        log.info(line)


def resumed(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """The config that the run in `cfg.folder` was started with, and what was typed now; kept for the next time.

    Raises:
        UserError: something typed now cannot change in a run that has begun.
    """
    typed = _typed(overrides)
    for key in typed:
        if key.split(".")[0] not in RESUMABLE:
            raise UserError(f"{key}={typed[key]} cannot change in a resumed run (only {', '.join(RESUMABLE[:-1])}): start a new one.")
    file = Path(cfg.folder) / ".hydra" / "config.yaml"
    old = OmegaConf.load(file)
    for key in {key.split(".")[0] for key in typed}:
        old[key] = cfg._get_node(key)
    part = file.with_suffix(".part")
    OmegaConf.save(old, part)
    os.replace(part, file)
    return old


def expand(words: list[str]) -> list[str]:
    """Command-line words with `resume=...` spelled out for Hydra, and flags before overrides, as its parser wants them.

    Raises:
        UserError: there is no such run.
    """
    flags = [word for word in words if word in ("-m", "--multirun")]
    words = [*flags, *(word for word in words if word not in flags)]
    asked = [word for word in words if word.startswith("resume=") and word != "resume=null"]
    if not asked or "LOCAL_RANK" in os.environ:  # a DDP child gets its parent's words
        return words
    folder = _run_folder(asked[-1].removeprefix("resume=").strip("'\""))
    rest = [word for word in words if not word.startswith("resume=")]
    return [*rest, f"resume='{folder}'", f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


def _run_folder(name: str) -> Path:
    if name != "last":
        if not (Path(name) / ".hydra").is_dir():
            raise UserError(f"resume={name} is no run folder (it has no .hydra/): give one, or resume=last.")
        return Path(name)
    runs = sorted(Path("runs").glob("*/*/.hydra"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"resume=last finds no run in {Path.cwd() / 'runs'}.")
    return runs[-1].parent


def _typed(overrides: list[str]) -> dict[str, str]:
    pairs = (word.lstrip("+~").split("=", 1) for word in overrides)
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def _changed(overrides) -> str:
    """The typed knobs as part of a folder's name; data and model stand in the folder above it."""
    left_out = ("data", "model", "verbose", "logger", "resume")
    shown = [word.lstrip("+~") for word in overrides if word.split("=")[0] not in left_out]
    name = re.sub(r"[^A-Za-z0-9_=.,+-]+", "-", "_".join(shown)).strip("-")
    return f"_{name[:100]}" if name else ""


def _choices() -> str:
    """For --help: every group's choices with the first line of their comment, and every knob with its own."""
    lines = []
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        lines.append(f"{folder.name}:")
        for file in sorted(folder.rglob("[!_]*.yaml")):
            comments = (line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#"))
            meaning = next((line for line in comments if not line.startswith("@")), "")
            lines.append(f"  {file.relative_to(folder).with_suffix('').as_posix():22} {meaning}")
    lines.append("knobs:")
    for line in (CONF / "config.yaml").read_text().splitlines():
        match = re.match(r"(\w+): (\S.*?)\s+# (.*)", line)
        if match:
            lines.append(f"  {match[1]:22} {match[3]} (default {match[2]})")
    return "\n".join(lines).replace("$", "$$")


OmegaConf.register_new_resolver("unique", lambda: secrets.token_hex(3), use_cache=True)
OmegaConf.register_new_resolver("changed", _changed)
OmegaConf.register_new_resolver("choices", _choices)


class Check(Callback):
    """Runs before the run's folder is made. Hydra swallows a callback's exceptions, but not SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs) -> None:
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
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        _refuse(f"{group}={choice} is unknown." + _near(choice, error.options or []) if group else str(error))
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
