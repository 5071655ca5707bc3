"""Labelled data of several kinds, batch by batch."""

from collections.abc import Iterator

import keras
import tensorflow as tf

_BATCH_SIZE = 32  # for data in arrays


def check_labelled_data(data) -> None:
    """Refuse what `iterate_batches` cannot iterate over, or not to its end.

    Args:
        data: Anything; `None` passes.

    Raises:
        ValueError: If the data is of another kind, empty, or never ends.
    """
    if data is None:
        return
    if isinstance(data, tf.data.Dataset):
        length = int(data.cardinality())
    elif isinstance(data, keras.utils.PyDataset):
        length = data.num_batches
    elif isinstance(data, tuple):
        length = next(map(len, keras.tree.flatten(data)), 0)
    else:
        raise ValueError(
            "`validation_data` must be a tuple of arrays, a `tf.data.Dataset` "
            f"or a `PyDataset`. Received: validation_data={data!r}"
        )
    if length in (None, tf.data.INFINITE_CARDINALITY):
        raise ValueError(
            "`validation_data` must end somewhere. "
            f"Received: validation_data={data!r}"
        )
    if not length:
        raise ValueError(
            "`validation_data` must have examples. "
            f"Received: validation_data={data!r}"
        )


def iterate_batches(data) -> Iterator[tuple]:
    """Go once over labelled data.

    Args:
        data: A `tf.data.Dataset`, `keras.utils.PyDataset` or list of batches
            `(x, y)` or `(x, y, sample_weight)`, or such a tuple of arrays.

    Yields:
        Batches `(x, y)`.
    """
    if isinstance(data, tuple):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        for start in range(0, len(keras.tree.flatten(x)[0]), _BATCH_SIZE):
            rows = slice(start, start + _BATCH_SIZE)
            yield keras.tree.map_structure(lambda a, r=rows: a[r], (x, y))
        return
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(data.num_batches))
    for batch in data:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        yield x, y
