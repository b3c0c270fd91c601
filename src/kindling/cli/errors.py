"""What the user can mend: one sentence on stderr and exit code 2, in place of a traceback."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from hydra.errors import CompactHydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError
from kindling.cli import conf
from kindling.cli import suggestions as names
from kindling.cli.arguments import LEAVABLE
from kindling.cli.grammar import grammar, several

# Launchers that are Hydra's once their package is installed.
PACKAGES = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """One message and exit code 2 for what the user can mend; everything else keeps its traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra lets its exceptions through
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        refuse(str(error))
    except OverrideParseException as error:
        refuse(grammar(error.override, bool({"-m", "--multirun"} & set(sys.argv))))
    except MissingConfigException as error:
        refuse(_missing_choice(error))
    except CompactHydraException as error:
        refuse(_unknown(error))
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's word for group=null
            raise
        refuse(_no_choice())


def refuse(message: str) -> None:
    """Print the message and exit."""
    print(message, file=sys.stderr)
    sys.exit(2)


def _missing_choice(error: MissingConfigException) -> str:
    file = error.missing_cfg_file or ""
    group, _, choice = file.rpartition("/")
    if not file.startswith("hydra/"):  # a choice may have a folder of its own
        group, _, choice = file.partition("/")
    if not choice:
        return " ".join(str(error).split())
    if choice in PACKAGES:
        return f'{group}={choice} needs another package: pip install -e ".[{PACKAGES[choice]}]"'
    if group == "data" and re.search(r"\.\w+$", choice):
        return f"data={choice} is unknown: for a table of your own write  data=csv data.path={choice}"
    known = {*conf.choices(group), *(name for name in error.options or [] if name[0] != "_")}
    own = " For a table of your own write data=csv data.path=..." if group == "data" else ""
    return f"{group}={choice} is unknown.{names.suggest_choice(choice, known)}{own}"


def _unknown(error: CompactHydraException) -> str:
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.parent_node is not None:
        parent = cause.parent_node
        siblings = [str(name) for name in parent if name != "hydra" and not str(name).startswith("_")]
        nodes = [name for name in siblings if not OmegaConf.is_interpolation(parent, name)]
        nodes = [name for name in nodes if OmegaConf.is_dict(parent[name]) and cause.key in parent[name]]
        inside = [f"{name}.{cause.key}" for name in nodes]
        meant = names.own_name(str(cause.key), siblings) or next(iter(inside), None)
        full = str(cause.full_key or cause.key)
        meant = None if meant == full else meant  # which another choice of the group has
        hint = names.suggest(str(cause.key), siblings, meant)
        add = f" To add it, write +{full}=..." * ("." in full and "Did you mean" not in hint)
        return f"{full} is unknown.{hint}{add}"
    override = re.search(r"(?:argument|parameters?) '(.*)'", str(error))
    if override and ("Ambiguous value" in str(error) or "multirun" in str(error)):
        return several(override[1])
    return " ".join(str(error).split())


def _no_choice() -> str:
    """Return the sentence for a group that is given null, a number, true or false."""
    pairs = [argument.partition("=") for argument in sys.argv[1:]]
    pairs = [(key.lstrip("+"), value) for key, _, value in pairs if key.lstrip("+") in conf.groups()]
    group, value = next((pair for pair in pairs if _is_no_name(pair[1])), pairs[0])
    if value.lower() == "null" and group in LEAVABLE:
        return f"{group}=null: a group takes a choice. To leave it out write ~{group}"
    return f"{group}={value} is unknown.{names.suggest_choice(value, conf.choices(group))}"


def _is_no_name(value: str) -> bool:
    return bool(re.fullmatch(r"null|true|false|[-+.\d][-+.\de_]*", value.lower()))
