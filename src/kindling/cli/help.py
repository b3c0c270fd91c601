"""The text of `python train.py --help`."""

import re
import textwrap
from collections.abc import Iterator

import yaml

from kindling.cli.conf import CONF, choice_file, choices, groups

HELP = """Train one variant:   python train.py [group=choice ...] [option=value ...]
Sweep over several:  python train.py -m activation=relu,tanh depth=1,2,4

options and their defaults:
{options}

{choices}

--cfg job prints the composed config; every value in it can be overridden.
Arguments can be added with +, e.g. +trainer.deterministic=true. --hydra-help lists Hydra's own flags."""
COLUMN, WIDTH = 26, 120  # of names, and of the lists in a subfolder's line


def help_text() -> str:
    """Return the help text: each option with its default and comment, and each group's choices.

    Hydra's own help template is not used because Hydra first reads every YAML file of every group (0.2 s for 25).
    """
    text = (CONF / "config.yaml").read_text(encoding="utf-8")
    flat = re.sub(
        r"^sweep:\n((?:  .*\n)*)", lambda block: re.sub("^  ", "sweep.", block[1], flags=re.M), text, flags=re.M
    )
    options = re.findall(r"^([\w.]+): (\S.*?)\s+# (.*)", flat, re.MULTILINE)
    defaults = dict(
        pair for node in yaml.safe_load(text)["defaults"] if isinstance(node, dict) for pair in node.items()
    )
    lines: list[str] = []
    for group in groups():
        default = f" (default {defaults[group]})" if defaults.get(group) else ""
        lines += [f"{group}{default}:", *_described(group)]
    pairs = [f"  {_pair(name, default):{COLUMN - 3}} {comment}" for name, default, comment in options]
    return HELP.format(options="\n".join(pairs), choices="\n".join(lines))


def _pair(name: str, default: str) -> str:
    """Return an option and its default; one that is computed from other options is called auto."""
    return f"{name}={'auto' if default.startswith('${') else default}"


def _described(group: str) -> Iterator[str]:
    """Yield a line for each choice, with its first comment; choices in a subfolder are only listed."""
    folders: dict[str, list[str]] = {}
    for choice in choices(group):
        folder, slash, name = choice.rpartition("/")
        if slash:
            folders.setdefault(folder, []).append(name)
            continue
        file = choice_file(group, choice)
        text = file.read_text(encoding="utf-8") if file else ""
        comments = (line[1:].strip() for line in text.splitlines() if line.startswith("#"))
        yield f"  {choice:{COLUMN - 3}} {next((line for line in comments if not line.startswith('@')), '')}"
    for folder, names in folders.items():
        start = f"  {f'{folder}/...':{COLUMN - 3}} "
        yield textwrap.fill(", ".join(names), WIDTH, initial_indent=start, subsequent_indent=" " * COLUMN)
