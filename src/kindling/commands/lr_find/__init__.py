"""Suggest a learning rate, with a range test."""
