"""Data sets of ours in another order, or one after another."""

import dataclasses

import tensorflow as tf

from keras_transfer.data.example_order import shuffle_numbers
from keras_transfer.forgetting.numbered_examples import (
    check_same_spec,
    join_orders,
)

_BATCH_SIZE = 32


def shuffle_examples(
    data: tf.data.Dataset, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Give the examples of a data set in a new order in each epoch.

    Args:
        data: A data set with an `example_order`.
        batch_size: Examples a batch; the last one may be smaller.
        seed: What decides the orders, with the number of the epoch.
    """
    order = data.example_order
    batches = shuffle_numbers(order.numbers, seed).batch(batch_size)
    return _make(dataclasses.replace(order, batches=batches), data)


def join_examples(
    first: tf.data.Dataset, second: tf.data.Dataset
) -> tf.data.Dataset:
    """Give the examples of one data set, and then those of another.

    Args:
        first: A data set with an `example_order`.
        second: Another, with examples of the same shapes and dtypes.

    Raises:
        ValueError: If they do not fit each other.
    """
    check_same_spec(first, second)
    orders = first.example_order, second.example_order
    count = sum(len(order.numbers) for order in orders)
    batches = tf.data.Dataset.range(count).batch(_BATCH_SIZE)
    return _make(join_orders(*orders, batches), first, second)


def _make(order, *sources) -> tf.data.Dataset:
    data = order.make_dataset()
    data._sources = sources  # keeps what they hold
    names = getattr(sources[0], "class_names", None)
    if names is not None:
        data.class_names = names
    return data
