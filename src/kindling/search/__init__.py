"""An extra: search. Optuna chooses the jobs of a sweep, a batch at a time: `train.py -m hydra/sweeper=optuna lr=...`.

Hydra's door to it is hydra_plugins.kindling_search.
"""
