"""Labels of one numbering of classes in another."""

import numpy as np
import tensorflow as tf

from keras_transfer.data.example_digests import digest_texts
from keras_transfer.data.example_order import ExampleOrder


def renumber_labels(
    data: tf.data.Dataset, numbers: np.ndarray
) -> tf.data.Dataset:
    """Give each label of a data set another number.

    Args:
        data: A data set of ours, of batches `(x, y)` or
            `(x, y, sample_weight)` with `y` the numbers of classes,
            `(batch,)` or `(batch, 1)`.
        numbers: The new number of each old one, an array of integers.

    Returns:
        The same data, in the same order, with labels `int32` `(batch,)`. It
        has an `example_order`, too.
    """
    order, numbers = data.example_order, np.asarray(numbers, "int32")

    def fetch(rows):
        x, y, *weight = order.fetch(rows)
        y = tf.cast(tf.reshape(y, [-1]), "int64")
        return x, tf.gather(numbers, y), *weight

    def digest():
        # What is kept under the digest of an example has its label.
        known = order.digest().tolist()
        return digest_texts(
            [f"{old.hex()} {numbers.tolist()}" for old in known]
        )

    labels = order.labels
    if labels is not None:
        labels = numbers[np.asarray(labels, "int64").reshape(-1)]
    renumbered = ExampleOrder(
        order.batches,
        order.numbers,
        fetch,
        None if order.digest is None else digest,
        labels,
    ).make_dataset()
    renumbered._source = data  # keeps what it holds
    return renumbered
