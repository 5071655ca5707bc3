"""A phase: a stretch of training with one set of trainable groups."""

import dataclasses
import math

BATCH_NORM_RULES = ("frozen", "train", "statistics")


@dataclasses.dataclass(frozen=True)
class Phase:
    """What trains, for how long, and at which rate.

    Attributes:
        train: Which layer groups train, as for `set_trainable`: `"head"`,
            `"top:N"`, `"all"`, `"none"`, a regular expression or a tuple of
            group names.
        epochs: Number of epochs, at least 1.
        learning_rate: Learning rate at the start of the phase, above or
            equal to 0.
        name: What the phase is called in logs and reports. Defaults to
            `train`.
        batch_norm: The BatchNorm rule, as for `set_trainable`. Defaults to
            `"frozen"`.
        schedule: How the rate goes on: `"constant"`, or `"cosine"`, which
            falls to 0 at the end of the phase. Defaults to `"constant"`.

    Raises:
        ValueError: If a number is out of its range, or a word is not known.
    """

    train: str | tuple[str, ...]
    epochs: int
    learning_rate: float
    name: str = ""
    batch_norm: str = "frozen"
    schedule: str = "constant"

    def __post_init__(self):
        if isinstance(self.train, list):
            object.__setattr__(self, "train", tuple(self.train))
        if not self.name:
            train = self.train
            name = train if isinstance(train, str) else ", ".join(train)
            object.__setattr__(self, "name", name)
        is_whole = isinstance(self.epochs, int)
        if not is_whole or isinstance(self.epochs, bool) or self.epochs < 1:
            raise ValueError(
                "A phase lasts a whole number of epochs, at least 1. "
                f"Received: epochs={self.epochs!r}"
            )
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(
                "The learning rate of a phase must be finite and not negative. "
                f"Received: learning_rate={self.learning_rate!r}"
            )
        if self.batch_norm not in BATCH_NORM_RULES:
            raise ValueError(
                f"`batch_norm` must be one of {BATCH_NORM_RULES}. "
                f"Received: batch_norm={self.batch_norm!r}"
            )
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(
                '`schedule` must be "constant" or "cosine". '
                f"Received: schedule={self.schedule!r}"
            )
