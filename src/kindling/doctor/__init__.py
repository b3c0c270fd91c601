"""An extra: a doctor who says in at most five sentences what ails a training run, each with its number and a command.

callback.py measures while a run trains, facts.py says what of. case.py is a run that has ended, with the rules' bounds;
causes.py and outcomes.py are the rules, culprits.py knows the options that hold a run back, rules.py chooses sentences.
command.py composes each suggestion, so that none is the command just run.
"""
