"""The ranking of a sweep, with what each option does."""
