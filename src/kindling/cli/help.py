"""The text of `python train.py --help`."""

import re

from kindling.cli.conf import CONF, choice_file, choices, groups

HELP = """Train one variant:   python train.py [group=choice ...] [option=value ...]
Sweep over several:  python train.py -m activation=relu,tanh depth=1,2,4

{choices}

--cfg job prints the composed config; every value in it can be overridden.
Arguments can be added with +, e.g. +trainer.deterministic=true. --hydra-help lists Hydra's own flags."""


def help_text() -> str:
    """Return the help text: each group's choices with their first comment, and each option with its comment.

    Hydra's own help template is not used because Hydra first reads every YAML file of every group (0.2 s for 25).
    """
    lines = []
    for group in groups():
        lines.append(f"{group}:")
        for name in choices(group):
            file = choice_file(group, name)
            text = file.read_text(encoding="utf-8") if file else ""
            comments = (line[1:].strip() for line in text.splitlines() if line.startswith("#"))
            lines.append(f"  {name:22} {next((line for line in comments if not line.startswith('@')), '')}")
    lines.append("options:")
    for line in (CONF / "config.yaml").read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\w+): (\S.*?)\s+# (.*)", line)
        if match:
            lines.append(f"  {match[1]:22} {match[3]} (default {match[2]})")
    return HELP.format(choices="\n".join(lines))
