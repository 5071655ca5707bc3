"""Some examples of labelled data, found again by their numbers."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.answers import iterate_batches
from keras_transfer.caching.repeatability import may_vary, shuffles
from keras_transfer.data.example_order import find_example_order

_BATCH_SIZE = 32


def keeps_order(data) -> bool:
    """Tell whether the examples of some data come as they are each time."""
    if not isinstance(data, tf.data.Dataset):
        return True
    # What makes an example of its number is Python, but always the same.
    order = find_example_order(data)
    numbers = data if order is None else order.batches
    return not (shuffles(numbers) or may_vary(numbers))


def spread_rows(examples: int, limit: int) -> np.ndarray:
    """Choose examples evenly from the first to the last.

    Args:
        examples: How many there are.
        limit: How many to choose, at most.

    Returns:
        Their numbers, rising.
    """
    rows = np.linspace(0, examples - 1, min(examples, limit))
    return rows.round().astype("int64")


def look_at_batch(data) -> tuple:
    """Return what tells the shapes of a batch `(x, y)`.

    A `tf.data.Dataset` is not read for it: of one that is cached, TensorFlow
    warns when it is not read to its end.

    Args:
        data: As for `iterate_batches`.
    """
    if not isinstance(data, tf.data.Dataset):
        return next(iterate_batches(data))
    x, y, _ = keras.utils.unpack_x_y_sample_weight(data.element_spec)
    return x, y


def count_examples(data) -> int:
    """Count the examples of some data, by reading it where need be.

    Args:
        data: As for `iterate_batches`.
    """
    order = find_example_order(data)
    if order is not None:
        return len(order.numbers)
    if isinstance(data, tuple):
        return _count(data)
    return sum(map(_count, iterate_batches(data)))


def _count(batch) -> int:
    return len(keras.tree.flatten(batch)[0])


def fetch_rows(data, rows: Sequence[int]) -> Iterator[tuple]:
    """Go through some examples only.

    Args:
        data: As for `iterate_batches`.
        rows: Their numbers, rising.

    Yields:
        Batches `(x, y)` of 32 of them; the last one may be smaller.
    """
    kept, start, rows = [], 0, np.asarray(rows)
    for batch in iterate_batches(data):
        flat = keras.tree.flatten(batch)
        stop = start + _count(batch)
        for row in rows[(rows >= start) & (rows < stop)] - start:
            # Copies, or each would keep its whole batch.
            kept.append([np.array(part[row]) for part in flat])
        start = stop
        while len(kept) >= _BATCH_SIZE:
            yield _stack(batch, kept[:_BATCH_SIZE])
            del kept[:_BATCH_SIZE]
    if kept:
        yield _stack(batch, kept)


def fetch_images(data, rows: Sequence[int]) -> list[np.ndarray] | None:
    """Return some examples that are images.

    Args:
        data: As for `iterate_batches`.
        rows: Their numbers, in any order.

    Returns:
        Arrays `(height, width, channels)` in the order of `rows`; `None` if
        examples are no single images, or others each time.
    """
    if not keeps_order(data) or not are_images(look_at_batch(data)[0]):
        return None
    order = np.unique(rows)
    found = [image for x, _ in fetch_rows(data, order) for image in x]
    return [found[i] for i in np.searchsorted(order, rows)]


def are_images(x) -> bool:
    """Tell whether inputs, or what tells their shape, are single images."""
    if keras.tree.is_nested(x) or tf.TensorShape(x.shape).rank != 4:
        return False
    return x.shape[-1] in (1, 3, 4)


def _stack(batch, examples) -> tuple:
    parts = [np.stack(part) for part in zip(*examples, strict=True)]
    return keras.tree.pack_sequence_as(batch, parts)
