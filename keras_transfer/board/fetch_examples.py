"""Some examples of labelled data, found again by their numbers."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.repeatability import may_vary, shuffles
from keras_transfer.data.example_order import find_example_order
from keras_transfer.data.labelled_batches import iterate_batches

_BATCH_SIZE = 32


def keeps_order(data) -> bool:
    """Tell whether the examples of some data come as they are each time."""
    if isinstance(data, keras.utils.PyDataset):
        # There it shuffles, if it does; Keras's own say whether.
        plain = keras.utils.PyDataset.on_epoch_end
        is_plain = type(data).on_epoch_end is plain
        return is_plain or not getattr(data, "shuffle", True)
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

    Raises:
        ValueError: If there is none.
    """
    if not isinstance(data, tf.data.Dataset):
        batch = next(iterate_batches(data), None)
        if batch is None:
            raise ValueError(f"There are no examples. Received: data={data!r}")
        return batch
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


def fetch_inputs(data, rows: Sequence[int]) -> Iterator:
    """Go through the inputs of some examples only.

    Args:
        data: As for `iterate_batches`.
        rows: Their numbers, rising.

    Yields:
        Batches of 32 of them, in NumPy; the last one, and one before examples
        of another size, may be smaller.
    """
    kept, start, rows = [], 0, np.asarray(rows)
    for x, _ in iterate_batches(data):
        stop = start + _count(x)
        picked = rows[(rows >= start) & (rows < stop)] - start
        start = stop
        if not picked.size:
            continue
        # Of pandas, numbers in brackets would be columns.
        flat = map(keras.ops.convert_to_numpy, keras.tree.flatten(x))
        for example in zip(*(part[picked] for part in flat), strict=True):
            is_full = len(kept) == _BATCH_SIZE
            if kept and (is_full or _shapes(example) != _shapes(kept[0])):
                yield _stack(x, kept)
                kept = []
            kept.append(example)
    if kept:
        yield _stack(x, kept)


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
    found = [image for x in fetch_inputs(data, order) for image in x]
    return [found[i] for i in np.searchsorted(order, rows)]


def are_images(x) -> bool:
    """Tell whether inputs, or what tells their shape, are single images."""
    if keras.tree.is_nested(x) or tf.TensorShape(x.shape).rank != 4:
        return False
    return x.shape[-1] in (1, 3, 4)


def _shapes(example) -> list[tuple]:
    return [np.shape(part) for part in example]


def _stack(x, examples):
    parts = [np.stack(part) for part in zip(*examples, strict=True)]
    return keras.tree.pack_sequence_as(x, parts)
