"""Batches of examples that are in memory as arrays."""

import functools

import numpy as np
import tensorflow as tf

from keras_transfer.data.example_digests import digest_examples
from keras_transfer.data.example_order import ExampleOrder


def batch_arrays(
    arrays: tuple,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Put arrays into batches.

    Args:
        arrays: Tuple `(x, y)` or `(x, y, sample_weight)` of arrays, or
            structures of them, of one length.
        batch_size: Examples a batch; the last one may be smaller.
        shuffle: Whether they come in a new order in each epoch.
        seed: Seed of the shuffling.

    Returns:
        A `tf.data.Dataset` with an `example_order`.

    Raises:
        ValueError: If there are no examples, or arrays of different lengths.
    """
    whole = tf.data.Dataset.from_tensors(arrays).get_single_element()
    # This checks the lengths, and copies nothing any more.
    count = len(tf.data.Dataset.from_tensor_slices(whole))
    if not count:
        raise ValueError(f"There are no examples. Received: arrays={arrays}")
    order = tf.data.Dataset.range(count)
    if shuffle:
        order = order.shuffle(count, seed=seed)

    def fetch(numbers):
        return tf.nest.map_structure(lambda a: tf.gather(a, numbers), whole)

    batches = order.batch(batch_size)
    digest = functools.partial(digest_examples, arrays)
    numbers = np.arange(count)
    return ExampleOrder(batches, numbers, fetch, digest).make_dataset()
