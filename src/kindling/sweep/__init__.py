"""An extra: sweeps. Variants that differ in values alone are trained together, all are ranked, and a sweep goes on.

plan.py says which jobs there are, why_single.py which of them can be trained together, group.py trains those.
"""
