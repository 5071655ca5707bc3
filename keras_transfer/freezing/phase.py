"""A phase: a stretch of training with one set of trainable groups."""

import dataclasses
import math
import numbers
from collections.abc import Callable

import keras

BATCH_NORM_RULES = ("frozen", "train", "statistics")
PARAMETERS = ("all", "batch_norm", "bias")
SCHEDULES = ("constant", "cosine", "warmup_cosine", "one_cycle")
MODES = ("auto", "min", "max")
SOLVERS = ("lbfgs", None)
_OF_SOLVERS = {
    "train": "head",
    "epochs": 1,
    "learning_rate": 0,
    "batch_norm": "frozen",
}


@dataclasses.dataclass(frozen=True)
class Phase:
    """What trains, for how long, and at which rate.

    Example:

    ```python
    kt.Phase("head", epochs=20, learning_rate=5e-3, patience=3)
    kt.Phase("all", epochs=10, learning_rate=1e-4, schedule="warmup_cosine")
    kt.Phase("all", epochs=10, learning_rate=1e-3, parameters="batch_norm")
    ```

    Attributes:
        train: Which layer groups train, as for `set_trainable`: `"head"`,
            `"top:N"`, `"all"`, `"none"`, a regular expression or a tuple of
            group names; layers frozen by hand follow it, too. Or a function
            that chooses one of these when the phase begins: it takes the
            model, and leaves it as it was.
        epochs: Number of epochs, at least 1; with `patience`, the most.
        learning_rate: Learning rate, above or equal to 0; with a schedule,
            the highest. Or a function that chooses it, as for `train`, when
            the groups of the phase are set.
        name: What the phase is called in logs and reports. Defaults to
            `train`, and `parameters` where these are not all.
        batch_norm: The BatchNorm rule, as for `set_trainable`. Defaults to
            `"frozen"`.
        schedule: How the rate goes, step by step. `"constant"`; `"cosine"`:
            falls to 0; `"warmup_cosine"`: rises for a tenth of the phase,
            then falls to 0; `"one_cycle"`: rises for a quarter, then falls
            to 0. Callbacks that set the rate are heard where it is constant.
            Defaults to `"constant"`.
        patience: Number of epochs without improvement after which the phase
            ends, as in `keras.callbacks.EarlyStopping`; the best weights of
            the phase are put back then. Defaults to `None`: the phase lasts
            `epochs`, and keeps its last weights.
        monitor: What `patience` looks at. Defaults to `"val_loss"`.
        min_delta: The least change that counts as improvement. Defaults to 0.
        mode: Whether less is better, `"min"`, or more, `"max"`. Defaults to
            `"auto"`: losses and metrics of Keras say it themselves.
        reinitialize: Whether all weights of the model get new, random values
            when the phase begins. Defaults to `False`.
        solver: `"lbfgs"` to find the weights of the head at once, when the
            phase begins, as in `kt.strategies.extraction`. The phase is then
            `Phase("head", epochs=1, learning_rate=0)`: an epoch that logs and
            validates, and whose steps change nothing. Defaults to `None`.
        parameters: Which weights train below the head, as for
            `set_trainable`: `"all"`, `"batch_norm"` or `"bias"`. Defaults to
            `"all"`, which in a model with adapters are these.

    Raises:
        ValueError: If a number is out of its range, or a word is not known.
    """

    train: str | tuple[str, ...] | Callable[[keras.Model], str | tuple]
    epochs: int
    learning_rate: float | Callable[[keras.Model], float]
    name: str = ""
    batch_norm: str = "frozen"
    schedule: str = "constant"
    patience: int | None = None
    monitor: str = "val_loss"
    min_delta: float = 0.0
    mode: str = "auto"
    reinitialize: bool = False
    solver: str | None = None
    parameters: str = "all"

    def __post_init__(self):
        if isinstance(self.train, list):
            self._set("train", tuple(self.train))
        if not _names_groups(self.train):
            raise ValueError(
                "`train` must be a string, names of layer groups, or a "
                f"function that returns these. Received: train={self.train!r}"
            )
        if not self.name:
            part = "" if self.parameters == "all" else f", {self.parameters}"
            self._set("name", f"{_name(self.train)}{part}")
        if not _is_whole(self.epochs, 1):
            raise ValueError(
                "A phase lasts a whole number of epochs, at least 1. "
                f"Received: epochs={self.epochs!r}"
            )
        self._set("epochs", int(self.epochs))
        if not _is_function(self.learning_rate):
            rate = check_learning_rate(self.learning_rate)
            self._set("learning_rate", rate)
        for argument, choices in (
            ("batch_norm", BATCH_NORM_RULES),
            ("schedule", SCHEDULES),
            ("mode", MODES),
            ("solver", SOLVERS),
            ("parameters", PARAMETERS),
        ):
            value = getattr(self, argument)
            if value not in choices:
                raise ValueError(
                    f"`{argument}` must be one of {choices}. "
                    f"Received: {argument}={value!r}"
                )
        if self.patience is not None and not _is_whole(self.patience, 0):
            raise ValueError(
                "`patience` must be a number of epochs, or `None`. "
                f"Received: patience={self.patience!r}"
            )
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(
                "`min_delta` must be finite and not negative. "
                f"Received: min_delta={self.min_delta!r}"
            )
        settings = {name: getattr(self, name) for name in _OF_SOLVERS}
        if self.solver and settings != _OF_SOLVERS:
            raise ValueError(
                "A solver finds the weights of the head at once: its phase has "
                f"{_OF_SOLVERS}. Received: solver={self.solver!r}, {settings}"
            )

    def _set(self, name, value):
        object.__setattr__(self, name, value)


def check_learning_rate(learning_rate: float) -> float:
    """Return a rate as a `float`, if it is one to train with.

    Raises:
        ValueError: If it is no number, negative or not finite.
    """
    is_number = isinstance(learning_rate, numbers.Real)
    if not is_number or not 0 <= learning_rate < math.inf:
        raise ValueError(
            "The learning rate of a phase must be a number, finite and not "
            f"negative; how it goes is said by `schedule`, one of {SCHEDULES}. "
            f"Received: learning_rate={learning_rate!r}"
        )
    return float(learning_rate)


def _is_function(learning_rate) -> bool:
    # Schedules of Keras are callable as well, with a step.
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return callable(learning_rate) and not isinstance(learning_rate, schedule)


def _names_groups(train) -> bool:
    if isinstance(train, tuple):
        return bool(train) and all(isinstance(name, str) for name in train)
    return isinstance(train, str) or callable(train)


def _name(train) -> str:
    if callable(train):
        return "chosen groups"
    return train if isinstance(train, str) else ", ".join(train)


def _is_whole(number, least: int) -> bool:
    is_whole = isinstance(number, numbers.Integral)
    return is_whole and not isinstance(number, bool) and number >= least
