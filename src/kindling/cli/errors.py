"""Errors that the user can fix: one line on stderr and exit code 2 instead of a traceback."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import NoReturn

from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError
from kindling.cli import conf, entry, suggestions
from kindling.cli.arguments import OPTIONAL_GROUPS
from kindling.cli.grammar import explain_multiple_values, explain_parse_error

# Launchers that Hydra finds once their package is installed -> the optional dependencies to install.
PACKAGES = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}


# Errors of the file system that the user can fix -> what to do.
ELSEWHERE = "write to another folder (hydra.run.dir=..., or sweep.name=... for a sweep)"
FILE_ERRORS = {
    errno.ENOSPC: f"free some space, or {ELSEWHERE}",
    errno.EDQUOT: f"free some space, or {ELSEWHERE}",
    errno.EROFS: ELSEWHERE,
    errno.EACCES: f"change its permissions, or {ELSEWHERE}",
    errno.EPERM: f"change its permissions, or {ELSEWHERE}",
    errno.ENAMETOOLONG: f"give a shorter name, or {ELSEWHERE}",
    errno.ENOTDIR: f"a part of this path is a file; {ELSEWHERE}",
}


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn errors that the user can fix into one message and exit code 2; all others keep their traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra does not catch exceptions then
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        reject(str(error))
    except OverrideParseException as error:
        reject(explain_parse_error(error.override or "", bool({"-m", "--multirun"} & set(sys.argv))))
    except MissingConfigException as error:
        reject(_explain_choice(error))
    except CompactHydraException as error:
        reject(_explain_option(error))
    except (OSError, MemoryError, RuntimeError) as error:
        if message := explain_machine_error(error):
            reject(message)
        if not entry.first_process_has_ended():
            raise
        print(entry.ORPHANED, file=sys.stderr)
        sys.exit(1)
    except ValueError as error:
        if "Config group override" not in str(error):  # for group=null
            raise
        reject(_explain_group_value())


def reject(message: str) -> NoReturn:
    """Print the message and exit with code 2."""
    print(message, file=sys.stderr)
    sys.exit(2)


def explain_machine_error(error: Exception) -> str | None:
    """Return the message if a file cannot be written, or if the memory is used up; None for any other exception."""
    text = str(error)
    of_torch = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch):
        asked = re.search(r"allocate ([\d.]+ (?:bytes|[KMGT]iB))", text)
        size = f" ({asked[1]} more were needed)" if asked else ""
        return f"Out of memory{size}: use a smaller model (width, depth), batch_size, or data set."
    if not isinstance(error, OSError) or error.errno not in FILE_ERRORS:
        return None
    file = error.filename2 or error.filename  # the second one is the target of a copy
    place = f"{file} cannot be written" if file else "A file cannot be written"
    return f"{place} ({error.strerror}): {FILE_ERRORS[error.errno]}."


def _explain_choice(error: MissingConfigException) -> str:
    """Return the message for an unknown choice of a group."""
    file = error.missing_cfg_file or ""
    group, _, choice = file.rpartition("/")
    if not file.startswith("hydra/"):  # a choice may be in a subfolder
        group, _, choice = file.partition("/")
    if not choice:
        return " ".join(str(error).split())
    if choice in PACKAGES:
        return f'{group}={choice} needs another package: pip install -e ".[{PACKAGES[choice]}]"'
    if group == "data" and re.search(r"\.\w+$", choice):
        return f"data={choice} is unknown: for your own table, write  data=csv data.path={choice}"
    known = {*conf.choices(group), *(name for name in error.options or [] if name[0] != "_")}
    own = " For your own table, write data=csv data.path=..." if group == "data" else ""
    return f"{group}={choice} is unknown.{suggestions.suggest_choice(choice, known)}{own}"


def _explain_option(error: CompactHydraException) -> str:
    """Return the message for an unknown option, or for several values without -m."""
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None:
        parent = cause.parent_node
        siblings = [str(name) for name in parent if name != "hydra" and not str(name).startswith("_")]
        nodes = [name for name in siblings if not OmegaConf.is_interpolation(parent, name)]
        nodes = [name for name in nodes if OmegaConf.is_dict(parent[name]) and cause.key in parent[name]]
        inside = [f"{name}.{cause.key}" for name in nodes]
        meant = suggestions.canonical_name(str(cause.key), siblings) or next(iter(inside), None)
        full = str(cause.full_key or cause.key)
        meant = None if meant == full else meant  # an option that only another choice of the group has
        hint = suggestions.suggest(str(cause.key), siblings, meant)
        add = f" To add it, write +{full}=..." * ("." in full and "Did you mean" not in hint)
        return f"{full} is unknown.{hint}{add}"
    override = re.search(r"(?:argument|parameters?) '(.*)'", str(error))
    if override and ("Ambiguous value" in str(error) or "multirun" in str(error)):
        return explain_multiple_values(override[1])
    return " ".join(str(error).split())


def _explain_group_value() -> str:
    """Return the message for a group that is set to null, a number, true or false."""
    parts = [arg.partition("=") for arg in sys.argv[1:]]
    pairs = [(key.lstrip("+"), value) for key, _, value in parts if key.lstrip("+") in conf.groups()]
    group, value = next((pair for pair in pairs if _is_constant(pair[1])), pairs[0])
    if value.lower() == "null" and group in OPTIONAL_GROUPS:
        return f"{group}=null: a group cannot be null. To omit it, write ~{group}"
    return f"{group}={value} is unknown.{suggestions.suggest_choice(value, conf.choices(group))}"


def _is_constant(value: str) -> bool:
    return bool(re.fullmatch(r"null|true|false|[-+.\d][-+.\de_]*", value.lower()))
