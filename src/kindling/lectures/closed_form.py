"""The generative classifier, a Gaussian for each class, as the start weights of a linear model.

Mean, covariance and share of every class's training rows give P(class | x) by Bayes' rule. Its logits are linear in x
where the classes share one covariance, and quadratic where each has its own: so it is a logistic regression, on the
columns or on features=polynomial of degree=2, whose weights are not searched but computed (Bishop 2006, 4.2).
"""

import pytorch_lightning as pl
import torch
from torch import Tensor

from kindling import UserError
from kindling.data.base import Data
from kindling.models.linear import Linear


class Gaussians(pl.Callback):
    """Sets the weights before training; with lr=0 and epochs=1 they stay.

    Raises:
        UserError: the model is not linear, or the data is no table with classes and fitting features.
    """

    supports_multi_step = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = trainer.datamodule
        if stage != "fit":
            return
        if type(pl_module) is not Linear or not isinstance(data, Data) or data.examples.x.dim() != 2:
            raise UserError("closed_form wants model=logistic and a table: the Gaussians' logits are a weighted sum.")
        if data.examples.task not in ("binary", "multiclass"):
            raise UserError(f"closed_form wants classes, this data's task is {data.examples.task}.")
        own = data.features == "polynomial" and data.degree == 2
        if not own and data.features != "none":
            raise UserError(
                f"closed_form wants features=none (one covariance) or features=polynomial degree=2 (each class its "
                f"own), not features={data.features} degree={data.degree}."
            )
        if 0 in data.transform["factor"]:
            raise UserError("closed_form cannot use a column that is constant: leave it out with data.drop.")
        x, y = self._raw_rows(data)
        weight, bias = (quadratic if own else linear)(x, y)
        if data.examples.task == "binary":  # one logit: what class 1's is above class 0's
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        factor, shift = (torch.tensor(data.transform[name], dtype=torch.float64) for name in ("factor", "shift"))
        with torch.no_grad():
            pl_module.net[-1].weight.copy_(weight / factor)
            pl_module.net[-1].bias.copy_(bias + weight @ shift)

    def _raw_rows(self, data: Data) -> tuple[Tensor, Tensor]:
        """The training rows' columns (N, D), without features and scaling, and classes (N,)."""
        x, y = data.samples["train"]
        factor, shift = (torch.tensor(data.transform[name], dtype=torch.float64) for name in ("factor", "shift"))
        columns = data.examples.x.shape[1]  # of a polynomial the first features are the columns themselves
        return (x.double() / factor + shift)[:, :columns], y.flatten().long()


def linear(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (K, D) and biases (K,) of the logits, with the classes' mean covariance, weighted by their shares."""
    shares, means, covariances = _classes(x, y)
    weight = torch.linalg.solve((shares[:, None, None] * covariances).sum(0), means.T).T
    return weight, shares.log() - (weight * means).sum(1) / 2


def quadratic(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (K, D + D (D + 1) / 2) of the columns and their products, and biases (K,), of each class's covariance."""
    shares, means, covariances = _classes(x, y)
    precision = covariances.inverse()
    weight = (precision @ means[..., None])[..., 0]
    upper = torch.triu_indices(x.shape[1], x.shape[1]).unbind()
    twice = torch.where(upper[0] == upper[1], 0.5, 1.0)  # x_i x_j stands for x_j x_i too
    bias = shares.log() - (weight * means).sum(1) / 2 - torch.logdet(covariances) / 2
    return torch.cat([weight, -precision[:, upper[0], upper[1]] * twice], 1), bias


def _classes(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shares (K,), means (K, D) and covariances (K, D, D), by maximum likelihood."""
    parts = [x[y == k] for k in range(int(y.max()) + 1)]
    shares = torch.tensor([len(part) / len(x) for part in parts], dtype=torch.float64)
    covariances = [part.T.cov(correction=0).view(x.shape[1], -1) for part in parts]
    return shares, torch.stack([part.mean(0) for part in parts]), torch.stack(covariances)
