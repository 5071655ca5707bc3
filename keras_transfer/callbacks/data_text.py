"""What is known of the data of a `fit`, in words."""

from collections.abc import Sequence

import keras

from keras_transfer.board.answers import name_classes
from keras_transfer.board.data_summary import count_labels, data_markdown
from keras_transfer.caching.cached_data import find_cached_data
from keras_transfer.caching.feature_table import MemoryRows
from keras_transfer.callbacks.data_replay import find_training_data
from keras_transfer.data.example_order import find_example_order


def describe_data(
    model: keras.Model, validation_labels, class_names: Sequence | None
) -> str | None:
    """Describe what the `fit` that is running trains and validates on.

    Args:
        model: The model that it trains.
        validation_labels: All labels of the validation data, or `None`.
        class_names: As for `name_classes`.

    Returns:
        As `data_markdown`; `None` if nothing is known, or the model has not
        one output for classes.
    """
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2:
        return None
    labels = find_training_labels(model), validation_labels
    counts = [count_labels(part, shape[-1]) for part in labels]
    if not any(counts):
        return None
    data, _ = find_training_data()
    names = name_classes(model, data, max(shape[-1], 2), class_names)
    return data_markdown(*counts, names)


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
