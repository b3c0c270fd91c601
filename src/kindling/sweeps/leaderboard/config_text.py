"""Parts of a job's config.yaml, found by patterns, because parsing the YAML would take seconds for a thousand jobs."""

import re
from pathlib import Path

from kindling.files import PROJECT

SAME_SAMPLES = ("batch_size", "drop_last", "seed", "steps_per_execution")  # options of data that do not change samples


def data_text(config: str, metric: str) -> str:
    """Return the part that describes the data (and the loss, if it is compared), with what it refers to."""
    return "".join(data_blocks(config, metric).values())


def data_blocks(config: str, metric: str) -> dict[str, str]:
    """Return the top-level keys of a config.yaml on which its data depends, with their text."""
    found = _blocks(config)
    loss = re.search(r"^  loss: .*\n", found.get("model", ""), flags=re.MULTILINE)
    found["data"] = found.get("data", "") + (loss[0] if loss and metric.endswith("/loss") else "")
    return _with_references(found, ["data"])


def data_and_model_text(config: str) -> str:
    """Return the part that describes the data and the model, with what they refer to, and without the optimizer."""
    found = _blocks(config)
    found["model"] = re.sub(r"^  optimizer: .*\n(?:   .*\n)*", "", found.get("model", ""), flags=re.MULTILINE)
    return "".join(_with_references(found, ["data", "model"]).values())


def without(text: str, options: tuple[str, ...]) -> str:
    """Return the text without the lines that set these options."""
    return re.sub(rf"^ *({'|'.join(options)}): .*\n", "", text, flags=re.MULTILINE)


def versions(text: str) -> list[str]:
    """Return the sizes and modification times of the files that the data's config names."""
    values = {value.strip("'\"") for value in re.findall(r": (\S{1,200})$", text, flags=re.MULTILINE)}
    paths = [path for value in sorted(values) for path in (Path(value), PROJECT / value) if path.is_file()]
    return [f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]


def _blocks(config: str) -> dict[str, str]:
    """Return the text of each top-level key; that of `data` without options that do not change the samples."""
    found = {m[1]: m[0] for m in re.finditer(r"^(\w+):.*\n(?:[ -].*\n)*", config + "\n", flags=re.MULTILINE)}
    pattern = rf"^  ({'|'.join(SAME_SAMPLES)}): .*\n"
    found["data"] = re.sub(pattern, "", found.get("data", ""), flags=re.MULTILINE)
    return found


def _with_references(blocks: dict[str, str], needed: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    while needed:
        name = needed.pop(0)
        if name in blocks and name not in found:
            found[name] = blocks[name]
            needed += re.findall(r"\$\{(\w+)", blocks[name])
    return found
