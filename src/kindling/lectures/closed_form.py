"""A generative classifier, with a Gaussian for each class, as the initial weights of a linear model.

The mean, covariance and share of every class's training samples give P(class | x) by Bayes' rule. Its logits are linear
in x if the classes share a covariance, and quadratic otherwise: a logistic regression on the columns, or
on features=polynomial with degree=2, whose weights are computed in closed form (Bishop 2006, 4.2).
"""

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data
from kindling.data.preprocessing.encoding import input_names
from kindling.data.trainer_parts import datamodule_of
from kindling.models.linear import Linear


class Gaussians(pl.Callback):
    """Sets the weights before training; with lr=0 and epochs=1 they do not change.

    Raises:
        UserError: the model is not linear, or the data is not a table with classes and suitable features.
    """

    supports_multi_step = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = datamodule_of(trainer)
        if stage != "fit":
            return
        is_linear = isinstance(pl_module, Linear) and type(pl_module) is Linear
        if not is_linear or not isinstance(data, Data) or data.examples.x.dim() != 2:
            raise UserError("closed_form requires model=logistic and a table.")
        if data.examples.task not in ("binary", "multiclass"):
            raise UserError(f"closed_form requires classes, but the task of this data is {data.examples.task}.")
        own = data.features == "polynomial" and data.degree == 2
        if not own and data.features != "none":
            raise UserError(
                "closed_form requires features=none (shared covariance) or features=polynomial degree=2 (one per "
                f"class), not features={data.features} degree={data.degree}."
            )
        if "smooth_clip" in data.transform:
            raise UserError("closed_form needs a linear scaling: choose scale=standard, minmax or none.")
        if 0 in data.transform["factor"]:
            raise UserError("closed_form cannot use constant columns: leave them out with data.drop.")
        x, y = _raw_samples(data)
        weight, bias = (quadratic if own else linear)(x, y)
        if data.examples.task == "binary":  # a single logit, the difference of both classes' logits
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        factor, shift = (torch.tensor(data.transform[name], dtype=torch.float64) for name in ("factor", "shift"))
        parameters = dict(pl_module.named_parameters())
        with torch.no_grad():
            parameters["net.0.weight"].copy_(weight / factor)
            parameters["net.0.bias"].copy_(bias + weight @ shift)


def _raw_samples(data: Data) -> tuple[Tensor, Tensor]:
    """Return the training samples' columns (N, D), without features and scaling, and classes (N,)."""
    x, y = data.samples["train"]
    factor, shift = (torch.tensor(data.transform[name], dtype=torch.float64) for name in ("factor", "shift"))
    encoding = data.transform.get("encoding")
    columns = (
        len(input_names(encoding)) if encoding else data.examples.x.shape[1]
    )  # the first features of a polynomial are the columns themselves
    return (x.double() / factor + shift)[:, :columns], y.flatten().long()


def linear(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (K, D) and biases (K,) of the logits, for the mean covariance weighted by the classes' shares."""
    shares, means, covariances = _classes(x, y)
    weight = torch.linalg.solve((shares[:, None, None] * covariances).sum(0), means.T).T
    return weight, shares.log() - (weight * means).sum(1) / 2


def quadratic(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (K, D + D (D + 1) / 2) of columns and products, and biases (K,), for each class's covariance."""
    shares, means, covariances = _classes(x, y)
    precision = covariances.inverse()
    weight = (precision @ means[..., None])[..., 0]
    upper = torch.triu_indices(x.shape[1], x.shape[1]).unbind()
    twice = torch.where(upper[0] == upper[1], 0.5, 1.0)  # x_i x_j also stands for x_j x_i
    bias = shares.log() - (weight * means).sum(1) / 2 - torch.logdet(covariances) / 2
    return torch.cat([weight, -precision[:, upper[0], upper[1]] * twice], 1), bias


def _classes(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the classes' shares (K,), means (K, D) and maximum likelihood covariances (K, D, D)."""
    parts = [x[y == k] for k in range(int(y.max()) + 1)]
    shares = torch.tensor([len(part) / len(x) for part in parts], dtype=torch.float64)
    covariances = [part.T.cov(correction=0).view(x.shape[1], -1) for part in parts]
    return shares, torch.stack([part.mean(0) for part in parts]), torch.stack(covariances)
