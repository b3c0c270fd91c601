"""What ails a run: a rule is a bound with its source, a sentence with its number, and a command to try."""

from collections.abc import Callable

from kindling.doctor.case import Case, Found
from kindling.doctor.causes import CAUSES, HINDERED, diverged, lr_too_low, scales
from kindling.doctor.command import replaced
from kindling.doctor.culprits import blocking, faster, listed, restraints
from kindling.doctor.outcomes import OF_DATA, overfit, too_little, underfit

MOST = 5  # sentences


def advice(case: Case) -> list[str]:
    """Return at most five sentences, the most serious first; a symptom is left out where its cause is named.

    Each ends with a command that trains something else, and without the options that cannot be right.
    """
    if case.options.get("lr") == 0:
        return _of_no_steps(case)
    found = _said(_causes(case), case) or _said([underfit], case)
    others = OF_DATA if found else (overfit, *OF_DATA)
    return (found + _said(others, case))[:MOST]


def _causes(case: Case) -> list[Callable]:
    if case.diverged:
        return [diverged, scales]
    return [blocked] if blocking(case) else [restrained] if restrained(case) else [*CAUSES]


def _said(rules: list[Callable] | tuple[Callable, ...], case: Case) -> list[str]:
    """Return what the rules find, each with the first of its suggestions that has an effect."""
    cures, sentences = blocking(case).values(), []
    for rule in rules:
        sentence, suggestions = rule(case) or ("", [])
        for words in suggestions:
            named = {word.partition("=")[0] for word in words}
            cured = [word for word in cures if word.partition("=")[0] not in named]
            if new := case.command.with_options(*words, *cured):
                line = replaced(new.line, *words, *cured) if "-m" in words else new.line
                sentences.append(f"{sentence} Try: {line}")
                break
    return sentences


def _of_no_steps(case: Case) -> list[str]:
    """Return a sentence where lr=0 was given, and not to see what given or computed weights do."""
    given, options = {name.rpartition(".")[2] for name in case.command.given}, case.options
    computed = any(
        node["_target_"].startswith("kindling.lectures.closed_form.") for node in case.command.callbacks.values()
    )
    own_weights = "init" in given and str(options.get("init")).endswith(".json")
    if "lr" not in given or computed or own_weights:
        return []
    rate = case.command.own_lr() or 0.01
    return _said([lambda _: ("The step size lr is 0, so nothing was learnt.", [(f"lr={rate:g}",)])], case)


def blocked(case: Case) -> Found:
    found = blocking(case)
    sentence = f"With {listed(found)} the gradient of hidden layers is 0 before training, so that they cannot learn."
    return sentence, [tuple(found.values())]


def restrained(case: Case) -> Found | None:
    """Blame penalties and limits that are strong, where the run has learned too little."""
    found = {} if case.diverged else restraints(case)
    symptoms = [told[0] for rule in (too_little, *HINDERED) if (told := rule(case))] if found else []
    if not symptoms:
        return None
    rate = faster(case)
    words = (f"lr={rate:g}",) if rate and lr_too_low(case) else ()
    return f"{symptoms[0]} The likely cause: {listed(found)}.", [(*found.values(), *words)]
