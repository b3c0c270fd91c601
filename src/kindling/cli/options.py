"""Options that say how something is run, and not what is trained. None of them is a hyperparameter."""

OF_A_SWEEP = {"repeat": "1", "folds": "null", "on_error": "continue", "sweep.name": "null"}  # and their defaults
OF_A_RUN = ("folder", "resume", "test", "trust", "verbose")
RESUMABLE = ("epochs", "trainer", "trust", "verbose", "resume")  # what a resumed run may change
