"""What a training gave."""

import dataclasses

import keras

from keras_transfer.freezing.phase import Phase
from keras_transfer.recipes.report import Report


@dataclasses.dataclass(frozen=True, eq=False)
class TransferResult:
    """What a training gave.

    Attributes:
        model: The trained model, with its best weights.
        history: Lists of values, one an epoch, over all phases, as
            `History.history` of Keras.
        phases: The list of `Phase` that were run.
        report: A `Report`: `print(result.report)`, `.save(path)`.
        log_dir: Folder of the TensorBoard logs, or `None`.
    """

    model: keras.Model
    history: dict[str, list[float]]
    phases: list[Phase]
    report: Report
    log_dir: str | None
