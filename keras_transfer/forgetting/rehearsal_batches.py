"""Which examples come in which batch, where old ones are rehearsed."""

import itertools
import math

import numpy as np
import tensorflow as tf


def mix_numbers(
    new: int, old: int, ratio: float, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Give numbers of new and old examples, batch by batch.

    Only the seed and the epoch, which is counted, decide the order.

    Args:
        new: How many new examples there are. Their numbers begin at 0.
        old: How many old examples there are. Their numbers follow.
        ratio: Share of old examples in a batch.
        batch_size: Examples a batch.
        seed: The seed.

    Returns:
        A `tf.data.Dataset` of batches of numbers, `int64`: in each
        `round(ratio * batch_size)` are old, and all new ones come once an
        epoch. The last batch may be smaller, with the same share.
    """
    old_each = count_old(ratio, batch_size)
    new_each = batch_size - old_each
    full, rest = divmod(new, new_each)
    # The share is at least that of the others: a batch has some of both.
    old_rest = math.ceil(rest * old_each / new_each)
    sizes = [old_each] * full + [old_rest] * bool(rest)
    old_ends = np.cumsum(sizes)
    epochs = itertools.count()

    def draw():
        epoch = next(epochs)
        random = np.random.default_rng([seed, 0, epoch])
        news = np.split(random.permutation(new), range(new_each, new, new_each))
        start = epoch * int(old_ends[-1])
        olds = _draw_old(old, seed, start, int(old_ends[-1]))
        olds = np.split(new + olds, old_ends[:-1])
        batches = zip(news, olds, strict=True)
        # Mixed, as several replicas take a part of the batch each.
        mixed = [random.permutation(np.concatenate(b)) for b in batches]
        return np.concatenate(mixed).astype("int64")

    once = tf.data.Dataset.range(1)
    order = once.map(lambda _: tf.numpy_function(draw, [], tf.int64)).unbatch()
    count = new + int(old_ends[-1])
    order = order.apply(tf.data.experimental.assert_cardinality(count))
    return order.batch(batch_size)


def count_old(ratio: float, batch_size: int) -> int:
    """Return how many examples of a batch are old."""
    return round(ratio * batch_size)


def _draw_old(old: int, seed: int, start: int, count: int) -> np.ndarray:
    """Return a part of an endless row of permutations."""
    first, last = start // old, (start + count - 1) // old
    row = [
        np.random.default_rng([seed, 1, turn]).permutation(old)
        for turn in range(first, last + 1)
    ]
    start -= first * old
    return np.concatenate(row)[start : start + count]
