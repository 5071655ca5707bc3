"""The features of all examples of a data set, in memory."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import psutil
import tensorflow as tf

from keras_transfer.caching.cut import NoCutError
from keras_transfer.data.example_order import (
    ExampleOrder,
    fetch_batches,
    find_example_order,
    shuffle_numbers,
)

_FILL_BATCH = 32


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureTable:
    """What a data set's examples have become, and their order.

    Attributes:
        columns: Tuple `(features, y)` or `(features, y, sample_weight)` of
            tensors, or structures of them, with one row for each example.
        order: The `ExampleOrder` of the examples.
        shuffled_batches: The size of the batches, where the table shuffles
            what cannot be given in the order that it had; `None` otherwise.
    """

    columns: tuple
    order: ExampleOrder
    shuffled_batches: int | None = None

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return sum(map(_count_bytes, keras.tree.flatten(self.columns)))

    def make_dataset(self) -> tf.data.Dataset:
        """Return batches of rows, in the order of the data set."""
        numbers = self.order.numbers
        row_of = np.zeros(numbers.max() + 1, "int64")
        row_of[numbers] = np.arange(len(numbers))
        row_of = tf.constant(row_of)

        def fetch(batch):
            rows = tf.gather(row_of, tf.ensure_shape(batch, [None]))
            return keras.tree.map_structure(
                lambda column: tf.gather(column, rows), self.columns
            )

        return fetch_batches(self.order.batches, fetch)

    def reshuffle(
        self, *seed: int, epochs: Iterator[int] | None = None
    ) -> "FeatureTable":
        """Shuffle anew, if the order is the table's own.

        Args:
            *seed: The seed, one number or several.
            epochs: Gives the number of each epoch, as for `shuffle_numbers`.
        """
        size = self.shuffled_batches
        if size is None:
            return self
        numbers = self.order.numbers
        shuffled = shuffle_numbers(numbers, *seed, epochs=epochs)
        order = ExampleOrder(shuffled.batch(size), numbers, None)
        return dataclasses.replace(self, order=order)

    def transform(self, function: Callable, verbose=False) -> "FeatureTable":
        """Compute other features from these.

        Args:
            function: From a batch of features to a dictionary of tensors.
            verbose: Whether to show a progress bar.
        """
        features, *rest = self.columns
        rows = len(self.order.numbers)
        batches = tf.data.Dataset.range(rows).batch(_FILL_BATCH)
        numbered = batches.map(
            lambda n: (
                keras.tree.map_structure(lambda c: tf.gather(c, n), features),
            )
        )
        (features,) = _compute(numbered, function, rows, _free(), verbose)
        return dataclasses.replace(self, columns=(features, *rest))


def fill_feature_table(
    function: Callable,
    data,
    *,
    memory_limit: int | None = None,
    verbose: bool = False,
) -> FeatureTable:
    """Compute the features of each example of a data set once.

    Data sets of `load_image_folder` and arrays keep their order, epoch by
    epoch. Others are read from begin to end, and keep their order, unless they
    shuffle anywhere: then the table has a shuffled order of its own, which
    `reshuffle` sets.

    Args:
        function: From a batch of inputs to a dictionary of tensors.
        data: A finite `tf.data.Dataset` of batches `(x, y)` or
            `(x, y, sample_weight)`.
        memory_limit: How many bytes the table may have. Defaults to half of
            what is free.
        verbose: Whether to show a progress bar.

    Raises:
        NoCutError: If the table cannot stand for the data: it is a
            `PyDataset`, differs from one pass to the next, does not fit into
            memory, or its examples have different shapes.
    """
    if not isinstance(data, tf.data.Dataset):
        raise NoCutError("a `PyDataset` may give other batches in each epoch")
    limit = _free() if memory_limit is None else memory_limit
    order = find_example_order(data)
    if order is None:
        return _fill_in_order(function, data, limit, verbose)
    numbers = tf.data.Dataset.from_tensor_slices(order.numbers)
    batches = fetch_batches(numbers.batch(_FILL_BATCH), order.fetch)
    count = len(order.numbers)
    return FeatureTable(
        _compute(batches, function, count, limit, verbose), order
    )


def _fill_in_order(function, data, limit, verbose) -> FeatureTable:
    seen, sizes = [], []

    def watch():
        for batch in data:
            digests = _digest_examples(batch)
            seen.extend(digests)
            sizes.append(len(digests))
            yield batch

    cardinality = int(data.cardinality())
    columns = _compute(watch(), function, None, limit, verbose, cardinality)
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise NoCutError("the batches of the data have different sizes")
    again = next(iter(data))
    if not set(seen).issuperset(_digest_examples(again)):
        raise NoCutError(
            "the data differs from one pass to the next (augmentation in the "
            "pipeline, or `drop_remainder`)"
        )
    numbers = np.arange(sum(sizes))
    batches = tf.data.Dataset.from_tensor_slices(numbers).batch(sizes[0])
    order = ExampleOrder(batches, numbers, None)
    if not _shuffles(data):
        return FeatureTable(columns, order)
    # The next time, the data comes in another order: that of the digests is
    # always the same.
    rows = sorted(numbers, key=seen.__getitem__)
    columns = keras.tree.map_structure(lambda c: tf.gather(c, rows), columns)
    return FeatureTable(columns, order, sizes[0])


def _compute(batches, function, count, limit, verbose, steps=None) -> tuple:
    """Apply a function to each batch's inputs; return whole columns."""
    compute = tf.function(function, autograph=False, reduce_retracing=True)
    if count is not None:
        steps = -(-count // _FILL_BATCH)
    known = steps if steps and steps > 0 else None
    bar = keras.utils.Progbar(known) if verbose else None
    parts, done, size = [], 0, 0
    for batch in batches:
        part = (compute(batch[0]), *batch[1:])
        flat = keras.tree.flatten(part)
        if not all(isinstance(tensor, tf.Tensor) for tensor in flat):
            raise NoCutError("the data has ragged or sparse tensors")
        with tf.device("CPU"):  # a GPU has less room
            part = keras.tree.map_structure(tf.identity, part)
        if parts and _row_shapes(part) != _row_shapes(parts[0]):
            raise NoCutError("the examples have different shapes")
        parts.append(part)
        done += int(flat[0].shape[0])
        size += sum(map(_count_bytes, flat))
        whole = (
            size / done * count
            if count
            else size / len(parts) * (known or len(parts))
        )
        # Once more that, as long as the parts are being put together.
        if 2 * whole > limit:
            raise NoCutError(
                f"{2 * whole / 1e6:,.0f} MB of memory would be needed, and "
                f"{limit / 1e6:,.0f} MB may be used"
            )
        if bar is not None:
            bar.add(1)
    if not parts:
        raise NoCutError("the data has no examples")
    with tf.device("CPU"):
        return keras.tree.map_structure(lambda *p: tf.concat(p, 0), *parts)


def _free() -> int:
    return psutil.virtual_memory().available // 2


def _count_bytes(tensor) -> int:
    if tensor.dtype == tf.string:
        return 0
    return int(np.prod(tensor.shape)) * tensor.dtype.size


def _row_shapes(part) -> list:
    return [tensor.shape[1:] for tensor in keras.tree.flatten(part)]


def _digest_examples(batch) -> list[bytes]:
    """Return a digest of each example of a batch."""
    arrays = [
        np.ascontiguousarray(keras.ops.convert_to_numpy(part))
        for part in keras.tree.flatten(batch)
    ]
    return [
        b"".join(
            hashlib.blake2b(row.tobytes(), digest_size=8).digest()
            for row in rows
        )
        for rows in zip(*arrays, strict=True)
    ]


def _shuffles(data) -> bool:
    name = type(data).__name__.lower()
    return "shuffle" in name or any(map(_shuffles, data._inputs()))
