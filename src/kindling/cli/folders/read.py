"""Read the files of the folders of runs and sweeps, any of which may be damaged or missing. Does not import torch."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf

from kindling.cli.folders.damaged import Damaged, reading
from kindling.cli.folders.load_yaml import load_yaml
from kindling.cli.plain import to_dict

Number = int | float
STATUSES = ("finished", "failed", "diverged", "interrupted", "killed")
# Keys of result.json and the types of their values.
RESULT: dict[str, Any] = {
    "status": str, "metrics": dict, "command": str, "seconds": Number, "epochs": int, "best_epoch": int | None,
    "score": Number | None, "monitor": str | None, "mode": str | None, "params": int | None, "versions": dict,
    "git": str | None, "advice": list,
}  # fmt: skip


def text_of(path: Path) -> str:
    """Return the content of a text file.

    Raises:
        Damaged: it cannot be read.
    """
    with reading(path):
        return path.read_text(encoding="utf-8")


def read_json(path: Path, **kinds: Any) -> dict[str, Any]:
    """Return the content of a JSON file.

    Args:
        path: a file with one object.
        kinds: keys that the object must have, and the types of their values.

    Raises:
        Damaged: it cannot be read, or is not such an object.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise Damaged(path, "it is not a JSON object")
    for key, kind in kinds.items():
        if key not in content or not isinstance(content[key], kind):
            raise Damaged(path, f"it has no valid {key}" if key in content else f"it has no {key}")
    return content


def read_result(folder: Path, *needed: str) -> dict[str, Any]:
    """Return the content of a run's result.json.

    Args:
        folder: the run's folder.
        needed: keys that it must have, apart from the status; others are only checked if they are present.

    Raises:
        Damaged: it cannot be read, or a value is not of the right kind.
    """
    path = folder / "result.json"
    content = read_json(path, status=str, **{key: RESULT[key] for key in needed})
    values = content.get("metrics") if isinstance(content.get("metrics", {}), dict) else None
    wrong = [key for key, kind in RESULT.items() if key in content and not isinstance(content[key], kind)]
    wrong += ["status"] * (content["status"] not in STATUSES)
    wrong += [name for name, value in (values or {}).items() if not isinstance(value, Number | None)]
    if wrong:
        raise Damaged(path, f"it has no valid {wrong[0]}")
    return content


def read_yaml(path: Path) -> DictConfig:
    """Return the content of a YAML file with a mapping.

    Raises:
        Damaged: it cannot be read, or is not a mapping.
    """
    content = load_yaml(path)
    # OmegaConf returns {text: None} for a text.
    if not isinstance(content, DictConfig) or set(map(type, to_dict(content, resolve=False).values())) <= {type(None)}:
        raise Damaged(path, "it is not a YAML mapping")
    return content


def read_config(folder: Path) -> DictConfig:
    """Return the config of a run.

    Raises:
        Damaged: it cannot be read, is cut off, or has no data set, model or trainer.
    """
    file = folder / ".hydra" / "config.yaml"
    config = read_yaml(file)
    content = to_dict(config, resolve=False)
    for name in ("data", "model", "trainer"):
        if not isinstance(content.get(name), dict) or not isinstance(content[name].get("_target_"), str):
            raise Damaged(file, f"it has no {name} with a _target_")
    if not text_of(file).endswith("\n"):
        raise Damaged(file, "it has no line break at its end, so it may be cut off")
    return config


def read_hydra(folder: Path) -> DictConfig:
    """Return Hydra's own configuration of a run.

    Raises:
        Damaged: it cannot be read, or has no choices of the groups.
    """
    path = folder / ".hydra" / "hydra.yaml"
    content = read_yaml(path)
    with reading(path):
        if not isinstance(OmegaConf.select(content, "hydra.runtime.choices"), DictConfig):
            raise Damaged(path, "it has no hydra.runtime.choices")
    return cast(DictConfig, content.hydra)


def read_overrides(folder: Path) -> list[str]:
    """Return the overrides that a run was started with.

    Raises:
        Damaged: they cannot be read.
    """
    path = folder / ".hydra" / "overrides.yaml"
    content = load_yaml(path)
    if not isinstance(content, ListConfig):
        raise Damaged(path, "it is not a YAML list")
    if odd := [item for item in content if not isinstance(item, str) or ("=" not in item and item[:1] != "~")]:
        raise Damaged(path, f"{odd[0]!r} is not an override")
    return cast(list[str], OmegaConf.to_container(content, resolve=False))


def read_table(path: Path, *columns: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file; all rows have as many cells as the header.

    Raises:
        Damaged: it cannot be read, or lacks one of the columns.
    """
    with reading(path):
        text = path.read_bytes().decode("utf-8")
        header, *rows = list(csv.reader(text.splitlines(keepends=True), strict=True)) or [[]]
    if not text.endswith("\n") or "\0" in text:
        raise Damaged(path, "it is empty" if not text else "it is cut off")
    if len(set(header)) != len(header) or not set(columns) <= set(header):
        raise Damaged(path, f"its header is {','.join(header)[:200]}")
    for i, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise Damaged(path, f"row {i} has {len(row)} cells instead of {len(header)}")
    return header, rows


def read_counts(path: Path) -> tuple[list[str], list[list[int]]]:
    """Return the class names and the counts of a confusion matrix.

    Raises:
        Damaged: they cannot be read.
    """
    (first, *names), rows = read_table(path, "true")
    if first != "true" or [row[0] for row in rows] != names or not names:
        raise Damaged(path, "its rows are not the classes of its columns")
    if not all(cell.isdecimal() for row in rows for cell in row[1:]):
        raise Damaged(path, "not all of its cells are counts")
    return names, [[int(cell) for cell in row[1:]] for row in rows]


def check_records(checkpoint: Path) -> None:
    """Check the CRC-32 of every record of a checkpoint, which torch does not do when it loads one (1 s per GB).

    Raises:
        Damaged: the file is missing or not a zip archive, or a record has changed.
    """
    with reading(checkpoint):
        try:
            with zipfile.ZipFile(checkpoint) as archive:
                found = archive.testzip()
        except (zipfile.BadZipFile, EOFError, RuntimeError) as error:  # RuntimeError: a changed flag or method
            raise ValueError(str(error).replace("File is not a zip file", "it is cut off or no checkpoint")) from error
    if found:
        raise Damaged(checkpoint, f"the checksum of {found} is wrong")
