"""Ensembles of a sweep's jobs: their predictions, the selection, and the line of the leaderboard."""
