"""Bring the data of a `fit` to where it was after so many epochs."""

import sys

from keras.callbacks import Callback, CallbackList
from keras.src.trainers.data_adapters.generator_data_adapter import (
    GeneratorDataAdapter,
)
from keras.src.trainers.data_adapters.py_dataset_adapter import (
    PyDatasetAdapter,
)
from keras.src.trainers.epoch_iterator import EpochIterator


def find_epoch_iterator() -> EpochIterator | None:
    """Find what the `fit` that is running draws its batches from.

    Keras 3.15 hands it to no callback; it is a local variable of `fit`.

    Returns:
        The iterator, or `None` outside of `fit`.
    """
    return _find_in_fit("epoch_iterator", EpochIterator)


def find_callbacks() -> list[Callback]:
    """Find the callbacks of the `fit` that is running, in its variables too."""
    found = _find_in_fit("callbacks", CallbackList)
    return [] if found is None else list(found.callbacks)


def find_training_data() -> tuple:
    """Find what the `fit` that is running was given to train on.

    Returns:
        Its `x` and `y`; `None` for what it was not given.
    """
    return _find_in_fit("x", object), _find_in_fit("y", object)


def find_validation_data():
    """Find what the `fit` that is running validates on after each epoch.

    Returns:
        What it was given, or `None` if it does not validate on all of it.
    """
    if _find_in_fit("validation_steps", int) is not None:
        return None
    return _find_in_fit("validation_data", object)


def _find_in_fit(name: str, kind: type):
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "fit":
            found = frame.f_locals.get(name)
            if isinstance(found, kind):
                return found
        frame = frame.f_back
    return None


def replay_epochs(epoch_iterator: EpochIterator, epochs: int) -> None:
    """Draw the batches of whole epochs, as `fit` does, and drop them.

    Orders that are drawn anew each epoch are those of a training that went
    through these epochs, as long as seeds are fixed.

    Args:
        epoch_iterator: From `find_epoch_iterator`.
        epochs: How many epochs to go through.
    """
    nothing = object()
    for _ in range(epochs):
        with epoch_iterator.catch_stop_iteration():
            for _, _, iterator in epoch_iterator:
                if next(iterator, nothing) is nothing:
                    raise StopIteration
                for _ in range(epoch_iterator.steps_per_execution - 1):
                    next(iterator, nothing)  # an epoch may end in between


def is_code(epoch_iterator: EpochIterator) -> bool:
    """Tell whether the order of the data is decided by the user's code."""
    return isinstance(
        epoch_iterator.data_adapter, PyDatasetAdapter | GeneratorDataAdapter
    )
