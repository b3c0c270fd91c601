"""Write, load and restore the checkpoints of a run's folder; last.ckpt has the best weights, too."""

import io
import logging
import pickle
import re
from pathlib import Path
from typing import Any

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import check_records, read_result
from kindling.files import BEST, LAST, write_atomically

log = logging.getLogger("kindling")

SHORT = 60.0  # seconds of training that may be repeated
TRAINING_STATE = ("optimizer_states", "lr_schedulers", "callbacks", "loops", "kept")  # keys that best.ckpt lacks


class NotPlain(UserError):
    """Raised for a checkpoint that contains more than plain data.

    Attributes:
        found: the name of the class or function that is not plain data.
    """

    def __init__(self, checkpoint: Path, found: str):
        super().__init__(
            f"{checkpoint} contains more than plain data ({found}), so loading it could execute arbitrary code. If "
            "you trust its source, add trust=true."
        )
        self.found = found


def load(checkpoint: Path, trust: bool = False) -> dict[str, Any]:
    """Load a checkpoint; unless it is trusted, without running code from it.

    Raises:
        NotPlain: it contains more than plain data.
        Damaged: it cannot be read.
    """
    check_records(checkpoint)
    import torch

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=not trust)
    except Exception as error:  # of any type, because unpickling calls what the file names
        if isinstance(error, MemoryError) or "allocate" in str(error):
            raise
        found = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if found:
            raise NotPlain(checkpoint, found[1]) from error
        raise Damaged(checkpoint, str(error).partition("\n")[0] or repr(error)) from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise Damaged(checkpoint, "it is not a checkpoint of Lightning, which has a state_dict")
    return state


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; the errors are those of the file system, unlike torch's own."""
    import torch

    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_atomically(path, content.getvalue())


def derive_best(checkpoint: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
    """Return the content of best.ckpt: best weights, no optimizer state.

    Args:
        checkpoint: the content of last.ckpt.
        best: the best epoch, see `BestAndLast.best`.
    """
    kept = {key: value for key, value in checkpoint.items() if key not in TRAINING_STATE}
    weights = {name: tensor.cpu() for name, tensor in best["weights"].items()}
    return kept | {"state_dict": weights, "epoch": best["epoch"] - 1, "global_step": best["step"]}


def load_best(folder: Path, trust: bool = False) -> dict[str, Any]:
    """Load a run's checkpoint with the best weights, which is restored from last.ckpt if it cannot be read.

    Raises:
        UserError: there is none, and it cannot be restored.
    """
    try:
        return load(folder / BEST, trust)
    except Damaged as error:
        if not (folder / BEST).exists() and not (folder / LAST).exists():
            raise UserError(
                f"{folder} has no {BEST}: the run ended before its first epoch was complete. Train it again."
            ) from error
        damaged = error
    try:
        state = load(folder / LAST, trust)
    except Damaged as error:
        also = Damaged(folder / BEST, f"{damaged.why}, and {LAST.name}, which would replace it: {error.why}")
        raise also from error
    best = state.get("callbacks", {}).get("BestAndLast", {}).get("best")
    if not best:
        raise Damaged(folder / BEST, f"{damaged.why}, and {LAST.name} does not contain the best weights") from damaged
    restored = derive_best(state, best)
    save(restored, folder / BEST)
    log.warning(f"{folder / BEST} ({damaged.why}) was restored from {LAST.name}, with the best epoch, {best['epoch']}")
    return restored


def update_best(folder: Path, checkpoint: dict[str, Any], best: dict[str, Any], trust: bool = False) -> None:
    """Derive best.ckpt from last.ckpt if the run was killed between writing the two.

    Args:
        checkpoint: the content of best.ckpt.
        best: the best epoch, see `BestAndLast.best`.
    """
    current = derive_best(load(folder / LAST, trust), best)
    if any(checkpoint.get(key) != current.get(key) for key in ("epoch", "global_step", "temperature")):
        save(current, folder / BEST)


def load_last(folder: Path, trust: bool = False) -> dict[str, Any]:
    """Load the checkpoint from which a run is resumed.

    Raises:
        UserError: it cannot be read, or has no state of training.
    """
    state = load(folder / LAST, trust)
    if "loops" not in state:
        raise Damaged(folder / LAST, "it has no state of training")
    return state


def checkpoint_to_resume(folder: Path) -> Path | None:
    """Return the path of a run's last checkpoint, or None for a run that ended before the first one.

    Raises:
        UserError: the run has trained, but its last checkpoint is gone.
    """
    last, result = folder / LAST, folder / "result.json"
    if last.is_file():
        return last
    # Within its first seconds a run that is interrupted or fails has no last.ckpt yet, but writes best.ckpt.
    has_begun = result.is_file() and read_result(folder).get("seconds", SHORT) < SHORT
    if (folder / BEST).is_file() and not has_begun:
        raise UserError(
            f"{folder} has no {LAST} to resume from, only {BEST}, which evaluate and predict can use: start a new run."
        )
    log.info(f"{folder} has no checkpoint, so training starts again")
    return None
