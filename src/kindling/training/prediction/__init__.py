"""Predictions and evaluation of a trained model, from its run folder."""
