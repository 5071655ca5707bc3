"""Batches of examples that are in memory as arrays."""

import functools
import weakref

import keras
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
            structures of them, of one length. NumPy arrays are not copied.
        batch_size: Examples a batch; the last one may be smaller.
        shuffle: Whether they come in a new order in each epoch.
        seed: Seed of the shuffling.

    Returns:
        A `tf.data.Dataset` with an `example_order`.

    Raises:
        ValueError: If there are no examples, or arrays of different lengths.
    """
    flat = keras.tree.flatten(arrays)
    if all(map(_is_numeric, flat)):
        lengths = [len(array) for array in flat]
        if len(set(lengths)) > 1:
            raise ValueError(
                "The arrays must have the same length. "
                f"Received: arrays of lengths {lengths}"
            )
        count, fetch = lengths[0], _gather_from_arrays(arrays)
    else:
        whole = tf.data.Dataset.from_tensors(arrays).get_single_element()
        # This checks the lengths, and copies nothing any more.
        count = len(tf.data.Dataset.from_tensor_slices(whole))
        arrays = whole

        def fetch(numbers):
            return tf.nest.map_structure(lambda a: tf.gather(a, numbers), whole)

    if not count:
        raise ValueError(f"There are no examples. Received: arrays={arrays}")
    order = tf.data.Dataset.range(count)
    if shuffle:
        order = order.shuffle(count, seed=seed)
    batches = order.batch(batch_size)
    # It also keeps the arrays.
    digest = functools.partial(digest_examples, arrays)
    numbers = np.arange(count)
    labels = arrays[1] if len(arrays) > 1 else None
    order = ExampleOrder(batches, numbers, fetch, digest, labels)
    return order.make_dataset()


def _is_numeric(part) -> bool:
    return (
        isinstance(part, np.ndarray)
        and part.ndim > 0
        and part.dtype.kind in "biufc"
    )


def _gather_from_arrays(arrays):
    flat = keras.tree.flatten(arrays)
    shapes = [(None, *array.shape[1:]) for array in flat]
    # TensorFlow never lets go of a function it was given.
    references = [weakref.ref(array) for array in flat]
    dtypes = [tf.as_dtype(array.dtype) for array in flat]

    def gather(numbers):
        return [reference()[numbers] for reference in references]

    def fetch(numbers):
        tensors = tf.numpy_function(gather, [numbers], dtypes)
        for tensor, shape in zip(tensors, shapes, strict=True):
            tensor.set_shape(shape)
        return keras.tree.pack_sequence_as(arrays, tensors)

    return fetch
