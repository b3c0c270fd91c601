"""The data sets, models, callbacks and experiments of the lectures."""
