"""Random numbers that only a seed, the epoch and the step decide."""

import itertools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf


def count_draws(
    *seed: int, epochs: Iterator[int] | None = None
) -> tf.data.Dataset:
    """Give each step of each epoch a seed of its own, without an end.

    Args:
        *seed: The seed, one number or several.
        epochs: Gives the number of each epoch, as it is drawn. Defaults to
            counting them.

    Returns:
        A `tf.data.Dataset` of pairs of `int64`.
    """
    epochs = itertools.count() if epochs is None else epochs

    def start():
        entropy = np.random.SeedSequence([*seed, next(epochs)])
        return entropy.generate_state(1, "uint64").view("int64")[0]

    once = tf.data.Dataset.range(1)
    starts = once.map(lambda _: tf.numpy_function(start, [], tf.int64))
    counted = starts.flat_map(
        lambda start: tf.data.Dataset.counter().map(
            lambda step: tf.stack([tf.ensure_shape(start, []), step])
        )
    )
    endless = tf.data.INFINITE_CARDINALITY
    return counted.apply(tf.data.experimental.assert_cardinality(endless))


def draw_below(limit: int, like: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Draw an integer below a limit for each element of a tensor."""
    return tf.random.stateless_uniform(
        tf.shape(like), draw, maxval=limit, dtype="int64"
    )
