"""Advice on a run: each rule has a bound with its source, a sentence with the measured value, and a command to try."""

from collections.abc import Callable, Sequence

from kindling.doctor.case import Case, Finding
from kindling.doctor.causes import CAUSES, SYMPTOMS, diverged, lr_too_low, scales
from kindling.doctor.outcomes import OF_DATA, compare_with_simple, overfit, underfit
from kindling.doctor.settings import blocking, excessive_limits, faster, listed
from kindling.doctor.suggested_run import replaced

MAX_SENTENCES = 5
Rule = Callable[[Case], Finding | None]


def advice(case: Case) -> list[str]:
    """Return at most five sentences, the most serious first; symptoms are omitted if their cause is named.

    Each ends with a command that differs from that of the run, without options that keep it from learning.
    """
    if case.options.get("lr") == 0:
        return _advice_for_zero_lr(case)
    found = _apply(_causes(case), case) or _apply([overfit], case) or _apply([underfit], case)
    return (found + _apply(OF_DATA, case))[:MAX_SENTENCES]


def _causes(case: Case) -> list[Rule]:
    if case.diverged:
        return [diverged, scales]
    return [blocked] if blocking(case) else [over_limited] if over_limited(case) else [*CAUSES]


def _apply(rules: Sequence[Rule], case: Case) -> list[str]:
    """Return the sentences of the rules that apply, each with the first of its suggestions that has an effect."""
    replacements, sentences = blocking(case).values(), []
    for rule in rules:
        sentence, suggestions = rule(case) or ("", [])
        for overrides in suggestions:
            named = {override.partition("=")[0] for override in overrides}
            others = [override for override in replacements if override.partition("=")[0] not in named]
            if new := case.run_command.with_options(*overrides, *others):
                line = replaced(new.line, *overrides, *others) if "-m" in overrides else new.line
                sentences.append(f"{sentence} Try: {line}")
                break
    return sentences


def _advice_for_zero_lr(case: Case) -> list[str]:
    """Return a sentence if lr=0 was given, unless the run evaluates given or computed weights."""
    given, options = {name.rpartition(".")[2] for name in case.run_command.given}, case.options
    computed = any(
        node["_target_"].startswith("kindling.lectures.closed_form.") for node in case.run_command.callbacks.values()
    )
    own_weights = "init" in given and str(options.get("init")).endswith(".json")
    if "lr" not in given or computed or own_weights:
        return []
    rate = case.run_command.default_lr() or 0.01
    return _apply([lambda _: ("The learning rate is 0, so the weights did not change.", [(f"lr={rate:g}",)])], case)


def blocked(case: Case) -> Finding:
    """Name the options that keep hidden layers from learning."""
    found = blocking(case)
    sentence = f"With {listed(found)} the gradient of the hidden layers is 0 before training, so they cannot learn."
    return sentence, [tuple(found.values())]


def over_limited(case: Case) -> Finding | None:
    """Name strong penalties and limits if the run underfits."""
    found = {} if case.diverged else excessive_limits(case)
    symptoms = [result[0] for rule in (compare_with_simple, *SYMPTOMS) if (result := rule(case))] if found else []
    if not symptoms:
        return None
    rate = faster(case)
    overrides = (f"lr={rate:g}",) if rate and lr_too_low(case) else ()
    return f"{symptoms[0]} Likely cause: {listed(found)}.", [(*found.values(), *overrides)]
