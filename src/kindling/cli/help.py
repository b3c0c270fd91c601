"""The text of `python train.py --help`."""

import re

from kindling.cli.conf import CONF, choice_file, choices, groups

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
    for group in groups():
        lines.append(f"{group}:")
        for name in choices(group):
            text = choice_file(group, name).read_text(encoding="utf-8")
            comments = (line[1:].strip() for line in text.splitlines() if line.startswith("#"))
            lines.append(f"  {name:22} {next((line for line in comments if not line.startswith('@')), '')}")
    lines.append("knobs:")
    for line in (CONF / "config.yaml").read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\w+): (\S.*?)\s+# (.*)", line)
        if match:
            lines.append(f"  {match[1]:22} {match[3]} (default {match[2]})")
    return HELP.format(choices="\n".join(lines))
