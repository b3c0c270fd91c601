"""What only the lectures need: their data sets, models, callbacks and experiments."""
