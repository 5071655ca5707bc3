"""What the functions that look at data take, and what labels mean in it."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.array_batches import batch_arrays

_BATCH_SIZE = 32


def read_data(data, validation_data=None) -> tuple:
    """Read the data arguments of a function that looks at data.

    Args:
        data: A `tf.data.Dataset` or `keras.utils.PyDataset` of batches
            `(x, y)`, a tuple of arrays `(x, y)`, or the pair of data sets
            that `load_image_folder` returns.
        validation_data: The same, but not a pair. Optional.

    Returns:
        Tuple `(train, validation)` of data sets of batches; `validation` may
        be `None`.

    Raises:
        ValueError: If data is of another kind, or never ends.
    """
    if _is_pair(data):
        if validation_data is not None:
            raise ValueError(
                "Pass validation data once: in the pair, or as "
                "`validation_data`. Received: a pair of data sets, and "
                f"validation_data={validation_data!r}"
            )
        data, validation_data = data
    train = _as_batches(data, "data")
    if validation_data is None:
        return train, None
    return train, _as_batches(validation_data, "validation_data")


def _is_pair(data) -> bool:
    return (
        isinstance(data, tuple)
        and len(data) == 2
        and isinstance(data[0], tf.data.Dataset | keras.utils.PyDataset)
    )


def _as_batches(data, name):
    if isinstance(data, tuple) and len(data) in (2, 3):
        return batch_arrays(data, _BATCH_SIZE)
    if not isinstance(data, tf.data.Dataset | keras.utils.PyDataset):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset or keras.utils.PyDataset of "
            "batches (x, y), or a tuple of arrays (x, y). "
            f"Received: {name}={data!r}"
        )
    endless = (
        int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
        if isinstance(data, tf.data.Dataset)
        else data.num_batches is None
    )
    if endless:
        raise ValueError(
            f"`{name}` never ends: use `{name}.take(steps)`. "
            f"Received: {name}={data!r}"
        )
    return data


def class_numbers(labels: np.ndarray) -> np.ndarray:
    """Turn labels into numbers of classes.

    Args:
        labels: The labels of all examples: numbers `(examples,)` or
            `(examples, 1)`, or one-hot `(examples, classes)`.

    Returns:
        An `int64` array `(examples,)`.

    Raises:
        ValueError: If an example may have several classes or none, or labels
            are no numbers of classes.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "biuf" and labels.size:
        if labels.ndim == 2 and _is_one_hot(labels):
            return labels.argmax(axis=1)
        numbers = labels.astype("int64")
        if labels.ndim == 1 and np.array_equal(numbers, labels):
            if numbers.min() >= 0:
                return numbers
    raise ValueError(
        "Labels must be numbers of classes, 0 or more, or one-hot: one class "
        f"for each example. Received: labels of shape {labels.shape} and "
        f"dtype {labels.dtype}"
    )


def _is_one_hot(labels) -> bool:
    return np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()


def restore_labels(numbers: np.ndarray, shape: tuple) -> np.ndarray:
    """Give numbers of classes the form that the labels of some data have.

    Args:
        numbers: From `class_numbers`.
        shape: The shape of a batch of those labels.

    Returns:
        Numbers of shape `(examples,)` or `(examples, 1)`, or one-hot labels
        `(examples, classes)` in float32.
    """
    if len(shape) < 2:
        return numbers
    if shape[-1] == 1:
        return numbers[:, None]
    return np.eye(shape[-1], dtype="float32")[numbers]


def find_class_names(data, classes: int) -> Sequence[str]:
    """Return the `class_names` of a data set, or numbers as names.

    Args:
        data: A data set, with or without `class_names`.
        classes: How many classes it has at least.
    """
    names = getattr(data, "class_names", None) or ()
    return [*names, *map(str, range(len(names), classes))]
