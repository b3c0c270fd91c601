"""Options that keep a run from learning, and the overrides that replace them."""

from kindling.doctor.case import ADAPTIVE, FEW_STEPS, NARROW, Case

# option -> value from which it may keep a run from learning; chosen well above usual values
STRONG = {"weight_decay": 0.01, "l1": 0.001, "dropout": 0.5, "label_smoothing": 0.3}
STRONG_DECOUPLED = 1.0  # for adamw, which multiplies it by lr
TIGHT = 0.1  # gradient norm allowed by clip


def blocking(case: Case) -> dict[str, str]:
    """Return options that keep hidden layers from learning, and the overrides that replace them."""
    found: dict[str, str] = {}
    if case.hidden and case.options.get("activation") in ("sign", "step"):
        found[f"activation={case.options['activation']}"] = "activation=relu"
    if case.hidden and case.options.get("init") == "zeros":
        found["init=zeros"] = "init=default"
    return found


def excessive_limits(case: Case) -> dict[str, str]:
    """Return penalties and limits strong enough to keep a run from learning, and the overrides that replace them."""
    options, found = case.options, dict[str, str]()
    for name, bound in STRONG.items():
        bound = STRONG_DECOUPLED if (name, options["optimizer"]) == ("weight_decay", "adamw") else bound
        if (options.get(name) or 0) >= bound:
            found[f"{name}={options[name]:g}"] = f"{name}=0"
    if (options.get("clip") or 1) <= TIGHT:
        found[f"clip={options['clip']:g}"] = "clip=null"
    if options.get("max_steps", -1) != -1:
        found[f"max_steps={options['max_steps']}"] = "max_steps=-1"
    if options["average"] != "none" and case.steps < FEW_STEPS:
        found[f"average={options['average']}"] = "average=none"
    return found


def questionable(case: Case) -> dict[str, str]:
    """Return other settings that may make a run underfit, and the overrides that replace them."""
    options, found = case.options, dict[str, str]()
    if not case.is_scaled:
        found["scale=none"] = "scale=standard"
    if case.hidden and (options.get("init") == "normal" or str(options.get("init")).endswith(".json")):
        found[f"init={options['init']}"] = "init=default"
    if case.hidden and options.get("activation") == "identity":
        found["activation=identity"] = "activation=relu"
    if options["schedule"] not in ("none", case.run_command.schedule_of_model()):
        found[f"schedule={options['schedule']}"] = "schedule=none"
    if case.hidden and options.get("batch_size") == "full" and case.steps < FEW_STEPS and case.train_samples > 64:
        found["batch_size=full"] = "batch_size=32"
    sizes = options.get("hidden_sizes") or [options.get("width", NARROW)]
    if case.hidden and min(sizes) < NARROW:
        found[f"a hidden layer of {min(sizes)} units"] = "hidden_sizes=[32,32]"
    if not found and options.get("features", "none") != "none":
        found[f"features={options['features']}"] = "features=none"
    return found


def slower(case: Case) -> float:
    """Return a learning rate for a run whose steps were too large.

    It is the minimum of a tenth of lr, the optimizer's default, the rate at which a quadratic loss falls fastest, and
    Polyak's step size (loss over squared norm of the gradient) before training.
    """
    adaptive, default = case.options["optimizer"] in ADAPTIVE, case.run_command.default_lr() or case.lr
    # The slope of sigmoids is small, so that steps of plain SGD may be large.
    rates = [case.lr / 10] if case.bounded and not adaptive and not case.diverged else [case.lr / 10, default]
    if not adaptive:
        rates += [1 / case.curvature] if case.curvature and case.is_scaled else []
        first = case.snapshots[0] if case.snapshots else None
        rates += [first.loss / first.norm**2] if case.diverged and first and first.norm > 1 and first.loss > 0 else []
    return float(f"{min(rates):.2g}")


def faster(case: Case) -> float | None:
    """Return a larger learning rate that is still safe, or None if the rate is not small."""
    bounds = [case.run_command.default_lr() or case.lr]
    if case.curvature and case.options["optimizer"] not in ADAPTIVE:
        bounds.append(1 / case.curvature)
    rate = min(10 * case.lr, *bounds)
    return float(f"{rate:.2g}") if rate >= 2 * case.lr else None


def listed(names: dict[str, str]) -> str:
    """Return "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
