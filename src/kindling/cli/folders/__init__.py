"""The folders of runs and sweeps: reading, checking and resuming them. Does not import torch.

A folder may be damaged (damaged.py, read.py), too large to read (load_yaml.py) or sent by somebody else: foreign.py
checks what its config would call, and outside.py what it would write elsewhere. docs/runs.md lists the rules.
"""
