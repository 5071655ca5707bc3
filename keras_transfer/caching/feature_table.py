"""The features of all examples of a data set, and their order."""

import dataclasses
import weakref
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.feature_folder import FeatureFolder
from keras_transfer.caching.row_layout import RowLayout
from keras_transfer.caching.stateless_draws import count_draws, draw_below
from keras_transfer.data.example_order import (
    ExampleOrder,
    fetch_batches,
    shuffle_numbers,
)


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryRows:
    """Rows in memory.

    Attributes:
        columns: Tuple `(features, y)` or `(features, y, sample_weight)` of
            tensors, or structures of them, with one row for each example.
    """

    columns: tuple

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(map(count_bytes, keras.tree.flatten(self.columns)))

    @property
    def dtypes(self) -> list:
        """The dtypes of all parts, as they are kept."""
        return [column.dtype for column in keras.tree.flatten(self.columns)]

    def take(self, rows: tf.Tensor) -> tuple:
        """Gather some rows."""
        return keras.tree.map_structure(
            lambda column: tf.gather(column, rows), self.columns
        )


@dataclasses.dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows on disk.

    Attributes:
        folder: The `FeatureFolder`.
        places: Where in it each row is.
        layout: The `RowLayout`.
    """

    folder: FeatureFolder
    places: np.ndarray
    layout: RowLayout

    @property
    def bytes(self) -> int:
        """Their size."""
        return len(self.places) * self.layout.row.itemsize

    @property
    def dtypes(self) -> list:
        """The dtypes of all parts, as they are kept."""
        return self.layout.dtypes

    def take(self, rows: tf.Tensor) -> tuple:
        """Read some rows."""
        # TensorFlow never lets go of a function it was given.
        these = weakref.ref(self)

        def read(rows):
            return these().read(rows)

        return self.layout.fetch(read, rows)

    def read(self, rows: np.ndarray) -> list[np.ndarray]:
        """Read some rows, as `RowLayout.unpack` gives them."""
        return self.layout.unpack(self.folder.read(self.places[rows]))


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureTable:
    """What a data set's examples have become, and their order.

    Attributes:
        rows: `MemoryRows` or `StoredRows`: all examples, `views` times.
        order: The `ExampleOrder` of the examples.
        dtypes: The dtypes of the features as they are used, in the order of
            their names.
        views: How many rows there are of each example; one of them is drawn.
        shuffled_batches: The size of the batches, where the table shuffles
            what cannot be given in the order that it had; `None` otherwise.
    """

    rows: MemoryRows | StoredRows
    order: ExampleOrder
    dtypes: tuple
    views: int = 1
    shuffled_batches: int | None = None

    @property
    def bytes(self) -> int:
        """Size in memory or on disk."""
        return self.rows.bytes

    @property
    def is_rounded(self) -> bool:
        """Whether features are kept in less than their own precision."""
        return any(
            kept != dtype
            for kept, dtype in zip(self.rows.dtypes, self.dtypes, strict=False)
        )

    def take(self, rows: tf.Tensor) -> tuple:
        """Return `(features, y)` or `(features, y, sample_weight)` of rows."""
        features, *rest = self.rows.take(rows)
        flat = [
            tf.cast(part, dtype)
            for part, dtype in zip(
                keras.tree.flatten(features), self.dtypes, strict=True
            )
        ]
        return keras.tree.pack_sequence_as(features, flat), *rest

    def make_dataset(
        self,
        *seed: int,
        epochs: Iterator[int] | None = None,
        change: Callable | None = None,
    ) -> tf.data.Dataset:
        """Return batches of rows, in the order of the data set.

        Args:
            *seed: Decides what is drawn, one number or several: the view of
                each example, and the order if it is the table's own, which
                without a seed stays as it is.
            epochs: Gives the number of each epoch, as it is drawn. Defaults
                to counting them.
            change: From a batch, and two integers that are others in each
                step, to what is given in its place.
        """
        batches = self.find_rows(*seed, epochs=epochs)
        count = len(self.order.numbers)

        def fetch(rows, draw=None):
            if self.views > 1:
                rows += count * draw_below(self.views, rows, draw)
            return change(self.take(rows), draw) if change else self.take(rows)

        if self.views > 1 or change:
            draws = count_draws(*seed, epochs=epochs)
            batches = tf.data.Dataset.zip(batches, draws)
        dataset = fetch_batches(batches, fetch)
        dataset._rows = self.rows  # keeps them
        return dataset

    def find_rows(
        self, *seed: int, epochs: Iterator[int] | None = None
    ) -> tf.data.Dataset:
        """Return batches of the numbers of rows, as for `make_dataset`."""
        numbers, batches = self.order.numbers, self.order.batches
        if seed and self.shuffled_batches:
            batches = shuffle_numbers(numbers, *seed, epochs=epochs)
            batches = batches.batch(self.shuffled_batches)
        row_of = np.zeros(numbers.max() + 1, "int64")
        row_of[numbers] = np.arange(len(numbers))
        row_of = tf.constant(row_of)
        return batches.map(
            lambda batch: tf.gather(row_of, tf.ensure_shape(batch, [None]))
        )

    def as_order(self) -> ExampleOrder:
        """Return an order that gives features instead of examples."""
        rows = np.arange(len(self.order.numbers))
        return ExampleOrder(
            self.order.batches, rows, self.take, self.order.digest
        )


def count_bytes(tensor: tf.Tensor) -> int:
    """Return the size of a tensor, texts not counted."""
    if tensor.dtype == tf.string:
        return 0
    return int(np.prod(tensor.shape)) * tensor.dtype.size
