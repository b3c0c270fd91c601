"""Baselines of decision trees, made on request: gradient boosting and a random forest. They need scikit-learn.

The names are checked without importing it.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from kindling import UserError

if TYPE_CHECKING:
    from torch import Tensor

TREES = {"boosting": "gradient boosting", "forest": "random forest"}  # option -> name on the leaderboard
EPSILON = 2.220446049250313e-16  # smallest probability, as in scikit-learn's log_loss


def tree_names(value: Any, option: str) -> list[str]:
    """Return the baselines that an option names.

    Args:
        value: a name, or a list of names; on a command line as text, e.g. "[boosting,forest]".
        option: the option, for the error message.

    Raises:
        UserError: a name is unknown, or scikit-learn is not installed.
    """
    texts = value.strip("[]").split(",") if isinstance(value, str) else list(value or [])
    names = [name for text in texts if (name := str(text).strip("'\" "))]
    if unknown := [name for name in names if name not in TREES]:
        raise UserError(
            f"{option}={unknown[0]} is unknown: choose {', '.join(TREES)}, e.g. {option}=[boosting,forest]."
        )
    if names and importlib.util.find_spec("sklearn") is None:
        raise UserError(f'{option}=[{",".join(names)}] needs scikit-learn: pip install -e ".[baselines]"')
    return names


def fit_trees(
    name: str, facts: dict[str, Any], train: "tuple[Tensor, Tensor]", x: "Tensor", weights: "Tensor | None" = None
) -> "Tensor":
    """Fit a baseline with scikit-learn's default arguments, and return its logits (N, num_outputs) for inputs `x`.

    Several outputs or labels are fitted one by one.

    Args:
        name: "boosting" or "forest".
        facts: the data's arguments for a model, see kindling.data.base.model_kwargs.
        train: inputs and targets.
        x: inputs (N, columns).
        weights: of the training samples; None: all are equal.
    """
    import torch

    task, inputs, targets = facts["task"], train[0].numpy(), train[1].numpy()
    sample_weight = None if weights is None else weights.numpy()
    columns = []
    for target in targets.T if targets.ndim > 1 else [targets]:
        fitted = _estimator(name, task).fit(inputs, target, sample_weight=sample_weight)
        if task == "regression":
            columns.append(torch.from_numpy(fitted.predict(x.numpy())).double()[:, None])
            continue
        number = facts["num_outputs"] if task == "multiclass" else 2
        shares = torch.zeros(len(x), number, dtype=torch.float64)  # a class without training samples keeps 0
        classes = fitted.classes_.astype(int)
        shares[:, classes] = torch.from_numpy(fitted.predict_proba(x.numpy())[:, : len(classes)])  # of one class: two
        shares = shares.clamp(EPSILON, 1 - EPSILON)
        columns.append(shares.log() if task == "multiclass" else shares[:, 1:].logit())
    return torch.cat(columns, 1)


def _estimator(name: str, task: str) -> Any:
    from sklearn import ensemble

    if task == "regression":
        kinds = {"boosting": ensemble.HistGradientBoostingRegressor, "forest": ensemble.RandomForestRegressor}
    else:
        kinds = {"boosting": ensemble.HistGradientBoostingClassifier, "forest": ensemble.RandomForestClassifier}
    return kinds[name](random_state=0)
