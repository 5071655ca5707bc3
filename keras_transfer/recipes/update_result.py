"""What an update gave."""

import dataclasses
import math

import keras
import numpy as np

from keras_transfer.forgetting.text_table import write_table
from keras_transfer.recipes.report import Report

_COLUMNS = {"data": "accuracy", "before": "before", "after": "after"}


@dataclasses.dataclass(frozen=True, eq=False)
class UpdateResult:
    """What an update gave: `print(result)`.

    Attributes:
        model: The model to go on with. Where there were new classes it is not
            the one that was given.
        history: Lists of values, one an epoch, as `History.history`.
        old_accuracy: Accuracy in [0, 1] on `old_validation`, before and after
            the update; NaN where none was given.
        new_accuracy: The same on `validation_data`.
        memory: Arrays `(x, y)` to pass as `memory` to the next update, labels
            in the numbering of `model`.
        report: What `fine_tune` reports.
    """

    model: keras.Model
    history: dict[str, list[float]]
    old_accuracy: tuple[float, float]
    new_accuracy: tuple[float, float]
    memory: tuple
    report: Report

    def __str__(self) -> str:
        measured = {
            "on old data": self.old_accuracy,
            "on new data": self.new_accuracy,
        }
        rows = [
            {"data": name, "before": before, "after": after}
            for name, (before, after) in measured.items()
            if not math.isnan(after)
        ]
        labels = self.memory[1]
        return (
            f"{write_table(rows, _COLUMNS)}\n"
            f"The memory for the next update has {len(labels):,} examples of "
            f"{len(np.unique(labels)):,} classes."
        ).lstrip("\n")
