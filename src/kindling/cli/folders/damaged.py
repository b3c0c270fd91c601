"""Missing and damaged files of the folders of runs and sweeps: the error, and what to do about each file."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError

AGAIN = "to write it again:  "
# Name of a file -> what to do if it cannot be read.
REMEDIES = {
    "result.json": f"{AGAIN}python train.py resume={{folder}}",
    "jobs.json": f"{AGAIN}python train.py resume={{folder}}",
    "confusion_matrix": f"{AGAIN}python train.py resume={{folder}}",
    "leaderboard.csv": f"{AGAIN}python -m kindling leaderboard sweep={{folder}}",
    "ensemble.json": f"{AGAIN}python -m kindling ensemble sweep={{folder}}",
    "optuna.db": "delete it; the search then starts again, and the jobs that have finished are not trained again",
    "last.ckpt": "the run cannot be resumed; evaluate and predict do not need it. To train it again:  {command}",
    ".png": "delete it, and draw it again:  python -m kindling pictures run={folder}",
    "effects.png": f"{AGAIN}python -m kindling leaderboard sweep={{folder}}",
    "multirun.yaml": "run the command of the sweep again, with sweep.name={name}; finished jobs are not trained again",
}
IN_A_GROUP = "delete {folder}, and train this job again:  python train.py resume={sweep}"
OTHERWISE = "restore it from a copy, or train again:  {command}"


class Damaged(UserError):
    """Raised for a file that is missing or damaged; the message says what to do."""

    def __init__(self, path: Path, why: object):
        self.path, self.why = path, " ".join(str(why).split())
        super().__init__(f"{path} cannot be read ({self.why}): {_remedy(path)}")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a file in the block into `Damaged`."""
    try:
        yield
    except Damaged:
        raise
    except FileNotFoundError as error:
        raise Damaged(path, "it does not exist") from error
    except UnicodeDecodeError as error:
        raise Damaged(path, f"byte {error.start} is not text") from error
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Damaged(path, f"{error.problem or error}{line}") from error
    except RecursionError as error:
        raise Damaged(path, "it is nested too deeply") from error
    except (OSError, ValueError, AssertionError, csv.Error, yaml.YAMLError, OmegaConfBaseException) as error:
        raise Damaged(path, str(error).partition("\n")[0]) from error


def _remedy(path: Path) -> str:
    folder = path.parent.parent if path.parent.name in (".hydra", "checkpoints") else path.parent
    name = "confusion_matrix" if re.fullmatch(r"confusion_matrix.*\.csv", path.name) else path.name
    remedy = REMEDIES.get(name) or REMEDIES.get(path.suffix, OTHERWISE)
    if name == "result.json" and not (folder / "checkpoints" / "last.ckpt").exists():
        remedy = OTHERWISE
    is_job = (folder.parent / "jobs.json").exists() and not (folder / ".hydra" / "hydra.yaml").exists()
    if is_job and name not in ("last.ckpt", "jobs.json") and path.suffix != ".png":
        remedy = IN_A_GROUP  # which cannot be resumed individually
    return remedy.format(folder=folder, name=folder.name, sweep=folder.parent, command=_command(folder))


def _command(folder: Path) -> str:
    """Return the command that trained a run, or how such commands begin if its result.json cannot be read."""
    try:
        return str(json.loads((folder / "result.json").read_text(encoding="utf-8"))["command"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "python train.py ..."
