"""Some examples of the data that a model was trained on."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import fetch_batches, find_example_order

_BATCH_SIZE = 32


def draw_examples(data, most: int, seed: int) -> Iterator[tuple]:
    """Draw examples of a data set.

    Args:
        data: A `tf.data.Dataset` or `keras.utils.PyDataset` of batches, with
            or without labels; a tuple of arrays `(x, y)` or `(x,)`; or an
            array `x`. Of arrays, and of data sets of ours, any examples are
            drawn, of a `PyDataset` any batches, and of another data set its
            first examples.
        most: How many examples to draw at most.
        seed: Seed of the draw.

    Yields:
        Batches `(x, y)`; `y` is `None` where there are no labels.

    Raises:
        ValueError: If the data is of another kind, or there are no examples.
    """
    random, left = np.random.default_rng(seed), most
    for batch in _read(data, most, random):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        count = min(left, len(keras.tree.flatten(x)[0]))
        if not count:
            break
        yield tuple(
            part
            if part is None
            else keras.tree.map_structure(lambda a, n=count: a[:n], part)
            for part in (x, y)
        )
        left -= count
    if left == most:
        raise ValueError(
            f"`old_data` must have examples. Received: old_data={data!r}"
        )


def _read(data, most, random):
    if isinstance(data, np.ndarray | tf.Tensor):
        data = (data,)
    if isinstance(data, tuple) and 1 <= len(data) <= 3:
        data = batch_arrays(data, _BATCH_SIZE)
    order = find_example_order(data)
    if order is not None:
        # This way, it is no epoch either: the order of those stays.
        count = min(most, len(order.numbers))
        numbers = np.sort(random.choice(order.numbers, count, replace=False))
        rows = tf.data.Dataset.from_tensor_slices(numbers).batch(_BATCH_SIZE)
        return fetch_batches(rows, order.fetch)
    if isinstance(data, tf.data.Dataset):
        return data
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        numbers = itertools.count() if count is None else range(count)
        if count is not None:
            numbers = random.permutation(count).tolist()
        return map(data.__getitem__, numbers)
    raise ValueError(
        "`old_data` must be a `tf.data.Dataset` or `keras.utils.PyDataset` of "
        "batches, a tuple of arrays (x, y), or an array x. "
        f"Received: old_data={data!r}"
    )
