"""What is known of the data of a `fit`, in words."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.data_summary import count_labels, data_markdown
from keras_transfer.caching.answers import name_classes
from keras_transfer.caching.cached_data import find_cached_data
from keras_transfer.caching.feature_table import MemoryRows
from keras_transfer.callbacks.data_replay import find_training_data
from keras_transfer.data.example_order import find_example_order
from keras_transfer.data.labelled_batches import iterate_batches


def describe_data(
    model: keras.Model,
    validation_data,
    validation_labels,
    class_names: Sequence | Mapping | None,
) -> str | None:
    """Describe what the `fit` that is running trains and validates on.

    Args:
        model: The model that it trains.
        validation_data: As for `iterate_batches`, or `None`.
        validation_labels: All its labels; `None` if they are to be looked for
            in it, which may take a pass.
        class_names: As for `name_classes`.

    Returns:
        As `data_markdown`; `None` if nothing is known, or the model has not
        one output for classes.
    """
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2:
        return None
    if validation_labels is None and validation_data is not None:
        validation_labels = find_labels(validation_data)
    labels = find_training_labels(model), validation_labels
    counts = [count_labels(part, shape[-1]) for part in labels]
    if not any(counts):
        return None
    data, _ = find_training_data()
    names = name_classes(model, data, max(shape[-1], 2), class_names)
    return data_markdown(*counts, names)


def find_labels(data):
    """Find the labels of all examples of some data, by reading it if need be.

    Args:
        data: As for `iterate_batches`.

    Returns:
        An array or a structure of them; `None` if there are none.
    """
    order = find_example_order(data)
    if order is not None and order.labels is not None:
        return order.labels
    if isinstance(data, tuple):
        return keras.utils.unpack_x_y_sample_weight(data)[1]
    labels = [y for _, y in iterate_batches(data)]
    if not labels or labels[0] is None:
        return None
    return keras.tree.map_structure(
        lambda *parts: np.concatenate(
            [keras.ops.convert_to_numpy(part) for part in parts]
        ),
        *labels,
    )


def find_training_labels(model: keras.Model):
    """Find the labels that the `fit` that is running trains on.

    A pass over data that shuffles would change the order of its epochs.

    Args:
        model: The model that `fit` trains.

    Returns:
        The labels of all examples, or a structure of them; `None` if the data
        has to be read for them.
    """
    x, y = find_training_data()
    if y is not None:
        return y
    order = find_example_order(x)
    if order is not None:
        return order.labels
    cut = getattr(model, "_cut", None)
    cached = cut and find_cached_data(cut, x)
    if cached and isinstance(cached.table.rows, MemoryRows):
        examples = len(cached.table.order.numbers)
        return keras.tree.map_structure(
            lambda column: column[:examples], cached.table.rows.columns[1]
        )
    return None
