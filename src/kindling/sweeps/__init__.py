"""Sweeps: planning the jobs of a multirun, training them and ranking the results."""
