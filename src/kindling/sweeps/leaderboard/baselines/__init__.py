"""Baselines of the leaderboard: a constant, a linear predictor, and trees on request."""
