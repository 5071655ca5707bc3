"""Data whose examples can be had by number, and two of them as one."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import psutil
import tensorflow as tf

from keras_transfer.caching.repeatability import may_vary
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import ExampleOrder, find_example_order

_BATCH_SIZE = 32


def number_examples(data, name: str) -> tf.data.Dataset:
    """Return data as a data set that has an `example_order`.

    Args:
        data: A batched `tf.data.Dataset` of `(x, y)` or
            `(x, y, sample_weight)`, or such a tuple of arrays. A data set
            that is none of ours is read into memory.
        name: Name of the argument, for messages.

    Raises:
        ValueError: If the data is of another kind, never ends, has no
            examples, is too large, or gives other examples each time.
    """
    if isinstance(data, tuple) and len(data) in (2, 3):
        return batch_arrays(data, _BATCH_SIZE)
    spec = getattr(data, "element_spec", None)
    if not isinstance(data, tf.data.Dataset) or not (
        isinstance(spec, tuple) and len(spec) in (2, 3)
    ):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset of batches (x, y), or a tuple "
            f"of arrays (x, y). Received: {name}={data!r}"
        )
    if find_example_order(data) is not None:
        return data
    steps = int(data.cardinality())
    if steps == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"`{name}` never ends: use `{name}.take(steps)`. "
            f"Received: {name}={data!r}"
        )
    if may_vary(data):
        raise ValueError(
            f"`{name}` must give the same examples each time, as they are "
            "kept: put augmentation into the model "
            "(`build_classifier(..., augmentation=...)`). "
            f"Received: {name}={data!r}"
        )
    return batch_arrays(_read(data, steps, name), _BATCH_SIZE)


def _read(data, steps, name) -> tuple:
    columns = None
    for batch in data:
        flat = keras.tree.flatten(batch)
        if any(len(part.shape) == 0 for part in flat):
            raise ValueError(
                f"`{name}` must be in batches: use `{name}.batch(32)`. "
                f"Received: {name}={data!r}"
            )
        if columns is None:
            columns = [[] for _ in flat]
            room = psutil.virtual_memory().available
            size = steps * sum(p.dtype.size * int(tf.size(p)) for p in flat)
            # Twice, as they are put together in the end.
            if 2 * size > room:
                raise ValueError(
                    f"`{name}` does not fit into memory: pass arrays or a data "
                    "set of `load_image_folder`, which are read where they "
                    f"are. Received: {name} of {size / 1e9:.1f} GB, with "
                    f"{room / 1e9:.1f} GB available"
                )
        for column, part in zip(columns, flat, strict=True):
            column.append(keras.ops.convert_to_numpy(part))
    if columns is None:
        raise ValueError(
            f"`{name}` must have examples. Received: {name}={data!r}"
        )
    flat = list(map(np.concatenate, columns))
    return keras.tree.pack_sequence_as(data.element_spec, flat)


def check_same_spec(new: tf.data.Dataset, old: tf.data.Dataset) -> None:
    """Refuse examples that are not of one kind, with a `ValueError`."""
    specs = new.element_spec, old.element_spec
    if len(specs[0]) != len(specs[1]):
        raise ValueError(
            "Both `new` and `old` must have sample weights, or neither. "
            f"Received: new with {len(specs[0])} parts, old with "
            f"{len(specs[1])}"
        )
    flat = [keras.tree.flatten(spec) for spec in specs]
    try:
        keras.tree.assert_same_structure(*specs)
        is_same = all(
            one.dtype == two.dtype
            and one.shape[1:].is_compatible_with(two.shape[1:])
            for one, two in zip(*flat, strict=True)
        )
    except (TypeError, ValueError):
        is_same = False
    if not is_same:
        raise ValueError(
            "`new` and `old` must have examples of the same shapes and dtypes: "
            f"resize or cast one. Received: new={specs[0]}, old={specs[1]}"
        )


def join_orders(
    first: ExampleOrder,
    second: ExampleOrder,
    batches: tf.data.Dataset,
) -> ExampleOrder:
    """Number the examples of two data sets through.

    Args:
        first: The order of one data set. Its examples have the numbers from 0
            on, in the order of its own `numbers`.
        second: That of another, whose examples follow.
        batches: Batches of the new numbers.
    """
    orders = first, second
    counts = [len(order.numbers) for order in orders]
    has_digests = first.digest is not None and second.digest is not None
    labels = [order.labels for order in orders]
    has_labels = all(isinstance(part, np.ndarray) for part in labels)

    def digest():
        return np.concatenate([order.digest() for order in orders])

    return ExampleOrder(
        batches,
        np.arange(sum(counts)),
        # TensorFlow never lets go of it, so it holds no data.
        functools.partial(
            _fetch_both,
            fetches=[order.fetch for order in orders],
            numbers=[np.asarray(order.numbers, "int64") for order in orders],
        ),
        digest if has_digests else None,
        np.concatenate(labels) if has_labels else None,
    )


def _fetch_both(rows, fetches: list[Callable], numbers: list[np.ndarray]):
    rows = tf.ensure_shape(rows, [None])
    border = len(numbers[0])
    places, parts = [], []
    for number, fetch in enumerate(fetches):
        mine = tf.where((rows >= border) == bool(number))[:, 0]
        own = tf.gather(
            numbers[number], tf.gather(rows, mine) - number * border
        )
        count = tf.size(own)
        # A fetch may not bear an empty batch.
        some = tf.cond(
            count > 0, lambda own=own: own, lambda n=number: numbers[n][:1]
        )
        places.append(tf.cast(mine, tf.int32))
        parts.append(
            tf.nest.map_structure(
                lambda part, count=count: part[:count], fetch(some)
            )
        )
    return tf.nest.map_structure(lambda *both: _stitch(places, both), *parts)


def _stitch(places, parts):
    stitched = tf.dynamic_stitch(places, list(parts))
    shape = parts[0].shape[1:].merge_with(parts[1].shape[1:])
    return tf.ensure_shape(stitched, [None, *shape])
