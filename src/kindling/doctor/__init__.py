"""An extra: a doctor who says in at most five sentences what ails a training run, each with its number and a command.

callback.py measures while a run trains, facts.py says what of, rules.py makes sentences of it.
"""
