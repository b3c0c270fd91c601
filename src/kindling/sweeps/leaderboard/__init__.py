"""Rank the jobs of a sweep, and show the effect of each option."""
