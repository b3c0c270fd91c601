"""A run that has ended, as the rules see it."""

from dataclasses import dataclass, field

from kindling.doctor.command import Command
from kindling.doctor.measurements import History, Look

# Bounds. Without a source named it is a choice, between the runs of tests/test_doctor.py that are well and ill.
VANISHING = 1e-3  # first layer's gradient over the last's; Glorot and Bengio 2010, figure 7, where it falls 10-fold
EXPLODING = 100.0  # norm of the gradient; Pascanu et al. 2013 clip at 1 to 10
DEAD = 0.4  # share of rectified units; Karpathy, notes of Stanford's CS231n, "as much as 40%"
SATURATED = 0.7  # share of outputs at an end of their range, of activations that are bounded; Glorot and Bengio 2010
SCALES = 30.0  # of standard deviations: the loss is then 30 * 30 times as steep one way; LeCun et al. 1998, 4.3
BOUNCING = 0.05  # mean rise of the training loss an epoch, over what it has fallen in all
STILL_FALLING = 0.15  # share of the fall in the last fifth of epochs: a straight line has 0.2
OVERFIT = 1.3  # last validation loss over the best
LOST = 0.05  # of the loss before training, by which validation has become worse at least
RARE = 0.1  # share of the smallest class in the training rows; Google's Rules of ML: 1 to 20 % is moderate imbalance
ROWS_PER_INPUT = 10  # of the smallest class; Peduzzi et al. 1996, "events per variable"
FEW_STEPS = 1000  # in a whole run
NARROW = 8  # units of a hidden layer

ADAPTIVE = ("adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta")  # their steps are of about lr
Found = tuple[str, list[tuple[str, ...]]]  # a sentence, and overrides to try in its command, the best first


@dataclass
class Case:
    """What was measured, and the command.

    Attributes:
        start_lr: the optimizer's before the first step.
        scales: largest over smallest standard deviation of an input column, and the name of the largest.
        widest: the largest standard deviation of an input column.
        class_counts, val_class_counts: samples of each class, for training and for validation.
        inputs: columns of a table.
        score: "accuracy" or "r2" of the best epoch's validation samples; simple: the same of simple models.
        bounded: whether its activations are; hidden: whether it has hidden layers.
        steepest: largest curvature of the loss of a model without hidden layers.
        target_std: standard deviation of a regression's target, as the model is given it.
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
    simple: dict[str, float] = field(default_factory=dict)
    bounded: bool = False
    hidden: bool = True
    steepest: float | None = None
    target_std: float = 1.0
    command: Command | None = None

    @property
    def options(self) -> dict:
        return self.command.options

    @property
    def lr(self) -> float:
        return self.options.get("lr") or self.start_lr

    @property
    def looks(self) -> list[Look]:
        return self.history.looks

    @property
    def steps(self) -> int:
        """Optimizer steps of all epochs."""
        size = self.options.get("batch_size", 1)
        passes = self.command.config["data"].get("passes", 1)
        batches = 1 if size == "full" else -(-self.train_samples // size)
        return batches * passes * len(self.history.train_loss)

    @property
    def is_scaled(self) -> bool:
        """Whether the inputs are scaled, or none of their columns needs it."""
        return self.options.get("scale") != "none" or max(self.widest, (self.scales or (1, ""))[0]) <= SCALES
