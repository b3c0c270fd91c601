"""The measurements of a finished run, to which the rules are applied."""

from dataclasses import dataclass, field
from typing import Any

from kindling.doctor.measurements import History, Snapshot
from kindling.doctor.suggested_run import Command

# Bounds. Those without a source were chosen to separate the healthy and unhealthy runs of tests/doctor/.
# Gradient of the first layer, relative to the last; far below the tenfold decrease of Glorot and Bengio 2010, figure 7
VANISHING = 1e-3
EXPLODING = 100.0  # norm of the gradient; Pascanu et al. 2013 clip at 1 to 10
DEAD = 0.4  # fraction of rectified units; Karpathy, notes of Stanford's CS231n, "as much as 40%"
SATURATED = 0.7  # fraction of outputs of bounded activations at the limits of their range; Glorot and Bengio 2010
SCALES = 30.0  # ratio of standard deviations, for which curvatures differ by 30 * 30; LeCun et al. 1998, 4.3
FLUCTUATING = 0.05  # mean rise of the training loss per epoch, relative to its total decrease
STILL_FALLING = 0.15  # fraction of the decrease in the last fifth of the epochs; 0.2 if the loss falls linearly
OVERFIT = 1.3  # last validation loss, relative to the best
INCREASE = 0.05  # minimum increase of the validation loss, relative to the loss before training
RARE = 0.1  # fraction of the smallest class; 1 to 20 % is a moderate imbalance according to Google's ML guide
SAMPLES_PER_INPUT = 10  # in the smallest class; Peduzzi et al. 1996, "events per variable"
FEW_STEPS = 1000  # in a whole run
NARROW = 8  # units of a hidden layer

ADAPTIVE = ("adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta")  # step sizes are about lr
Finding = tuple[str, list[tuple[str, ...]]]  # a sentence, and alternative overrides for its command, best first


@dataclass
class Case:
    """The measurements of a run and its command.

    Args:
        history: losses and snapshots of all epochs.
        start_lr: learning rate of the optimizer before the first step.
        best_epoch: number of the best epoch, from 1.
        diverged: why the run diverged, or None.
        scales: ratio of the largest and the smallest standard deviation of the input columns, and the name of the
            column with the largest.
        widest: largest standard deviation of an input column.
        class_counts: number of training samples of each class.
        val_class_counts: number of validation samples of each class.
        inputs: number of columns of a table.
        score: "accuracy" or "r2", and its value on the validation samples in the best epoch.
        train_samples: number of training samples.
        val_samples: number of validation samples.
        balanced: whether classes count equally in the loss, so that accuracy is not what training improves.
        simple: scores of simple models on the same samples.
        bounded: whether the model has bounded activations.
        hidden: whether the model has hidden layers.
        curvature: largest curvature of the loss of a model without hidden layers.
        target_std: standard deviation of the target of a regression, as given to the model.
        command: the command of the run; set before the rules are applied.
    """

    history: History = field(default_factory=History)
    start_lr: float = 0.0
    best_epoch: int = 0
    diverged: str | None = None
    scales: tuple[float, str] | None = None
    widest: float = 1.0
    class_counts: dict[str, int] | None = None
    val_class_counts: dict[str, int] | None = None
    inputs: int | None = None
    score: tuple[str, float] | None = None
    train_samples: int = 0
    val_samples: int = 0
    balanced: bool = False
    simple: dict[str, float] = field(default_factory=dict)
    bounded: bool = False
    hidden: bool = True
    curvature: float | None = None
    target_std: float = 1.0
    command: Command | None = None

    @property
    def run_command(self) -> Command:
        """The command, which the rules need."""
        if self.command is None:
            raise ValueError("The command of the case is not set.")
        return self.command

    @property
    def options(self) -> dict[str, Any]:
        return self.run_command.options

    @property
    def lr(self) -> float:
        return self.options.get("lr") or self.start_lr

    @property
    def snapshots(self) -> list[Snapshot]:
        return self.history.snapshots

    @property
    def steps(self) -> int:
        """The number of optimizer steps in all epochs."""
        size = self.options.get("batch_size", 1)
        passes = self.run_command.config["data"].get("passes", 1)
        batches = 1 if size == "full" else -(-self.train_samples // size)
        return batches * passes * len(self.history.train_loss)

    @property
    def is_scaled(self) -> bool:
        """Whether the inputs are scaled, or do not need to be."""
        return self.options.get("scale") != "none" or max(self.widest, (self.scales or (1, ""))[0]) <= SCALES
