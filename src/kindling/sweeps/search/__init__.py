"""Hyperparameter search: Optuna chooses the jobs of a sweep."""
