"""The examples of a data set, as they are needed to fill a cache."""

import functools
import itertools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.repeatability import (
    drops_remainder,
    may_vary,
    shuffles,
)
from keras_transfer.data.example_digests import digest_examples, digest_views
from keras_transfer.data.example_order import ExampleOrder, fetch_batches

_BATCH_SIZE = 32
_SAMPLE = 2


class OrderedExamples:
    """Examples of a data set that knows their order apart from them.

    Args:
        order: The `ExampleOrder`.
        shuffled_batches: See `FeatureTable`.
        views: How many times they are read, one pass after the other.
    """

    def __init__(
        self,
        order: ExampleOrder,
        shuffled_batches: int | None = None,
        views: int = 1,
    ):
        self.order = order
        self.shuffled_batches = shuffled_batches
        self.views = views
        self.count = views * len(order.numbers)
        self.steps = -(-self.count // _BATCH_SIZE)

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """The digests of all views, in the order of `order.numbers`."""
        return digest_views(self._digest_once, self.views)

    @functools.cached_property
    def _digest_once(self) -> np.ndarray:
        return self.order.digest()

    def batches(self) -> Iterator[tuple]:
        """Go through all views of them in the order of `order.numbers`."""
        return iter(self._fetch(np.tile(self.order.numbers, self.views)))

    def read(self, missing: np.ndarray) -> Iterator[tuple]:
        """Go through those with some digests, once each.

        Args:
            missing: The digests, sorted.

        Yields:
            The digests of the examples of a batch, and the batch.
        """
        digests, first = np.unique(self.digests, return_index=True)
        rows = np.sort(first[np.isin(digests, missing)])
        batches = self._fetch(
            self.order.numbers[rows % len(self.order.numbers)]
        )
        for start, batch in zip(
            range(0, len(rows), _BATCH_SIZE), batches, strict=True
        ):
            yield self.digests[rows[start : start + _BATCH_SIZE]], batch

    def sample(self) -> tuple:
        """Return the digests of a few examples, and a batch of them."""
        [batch] = self._fetch(self.order.numbers[:_SAMPLE])
        return self._digest_once[:_SAMPLE], batch

    def arrange(self, columns):
        """Bring what was made of `batches` into the order of `order`."""
        return columns

    def _fetch(self, numbers):
        numbers = tf.data.Dataset.from_tensor_slices(numbers)
        return fetch_batches(numbers.batch(_BATCH_SIZE), self.order.fetch)


class StreamedExamples:
    """Examples of any other data set, which is read from begin to end.

    Args:
        data: A finite `tf.data.Dataset`.
        views: How many times they are read, one pass after the other.

    Attributes:
        count: `None`: how many there are is known in the end.
    """

    count = None

    def __init__(self, data: tf.data.Dataset, views: int = 1):
        self._data = data
        self.views = views
        steps = int(data.cardinality())
        self.steps = views * steps if steps >= 0 else None
        self._shuffles = shuffles(data)
        self._found = self._sizes = None

    def batches(self) -> Iterator[tuple]:
        """Go through all views of them, and note what they are."""
        found, sizes = [], []
        for batch in itertools.chain(*[self._data] * self.views):
            _check_dense(batch)
            found.append(digest_examples(batch))
            sizes.append(len(found[-1]))
            yield batch
        if not sizes:
            raise NoCutError("the data has no examples")
        found, sizes = (
            np.array_split(np.concatenate(parts), self.views)
            for parts in (found, [sizes])
        )
        if len({len(digests) for digests in found}) > 1:
            raise NoCutError(_DIFFERS)
        self._found, self._sizes = found, sizes[0]
        again = self._found[-1] if self.views > 1 else self._read_again()
        self._check_known(again)
        if not np.array_equal(again, found[0][: len(again)]):
            self._shuffles = True
        if self._shuffles and drops_remainder(self._data):
            raise NoCutError(_DIFFERS)

    def _read_again(self) -> np.ndarray:
        count = -1 if may_vary(self._data) else 1
        again = map(digest_examples, self._data.take(count))
        again = np.concatenate(list(again))
        if count < 0 and len(again) != len(self._found[0]):
            raise NoCutError(_DIFFERS)
        return again

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """The digests of all views, in the order of `order.numbers`."""
        if self._found is None:
            for _ in self.batches():
                pass
        return digest_views(self._digest_once(), self.views)

    def _digest_once(self) -> np.ndarray:
        return self._sorted if self.shuffled_batches else self._found[0]

    @functools.cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self._found[0])

    def read(self, missing: np.ndarray) -> Iterator[tuple]:
        """As of `OrderedExamples`."""
        for view in range(self.views):
            for batch in self._data:
                digests = digest_examples(batch)
                self._check_known(digests)
                of_all = digest_views(digests, self.views)
                digests = np.array_split(of_all, self.views)[view]
                rows = np.flatnonzero(_is_among(digests, missing))
                if len(rows):
                    chosen = keras.tree.map_structure(
                        lambda part, rows=rows: tf.gather(part, rows), batch
                    )
                    yield digests[rows], chosen

    def sample(self) -> tuple:
        """As of `OrderedExamples`."""
        batch = keras.tree.map_structure(
            lambda part: part[:_SAMPLE], next(iter(self._data))
        )
        return digest_examples(batch), batch

    def arrange(self, columns):
        """As of `OrderedExamples`."""
        if not self.shuffled_batches:
            return columns
        # The next time, the data comes in another order: that of the digests
        # is always the same.
        rows = [np.argsort(found, kind="stable") for found in self._found]
        starts = np.arange(self.views)[:, None] * len(rows[0])
        rows = (rows + starts).ravel()
        return keras.tree.map_structure(lambda c: tf.gather(c, rows), columns)

    @functools.cached_property
    def shuffled_batches(self) -> int | None:
        return self._batch_size if self._shuffles else None

    @functools.cached_property
    def order(self) -> ExampleOrder:
        """Their `ExampleOrder`, once they were read."""
        numbers = np.arange(len(self._found[0]))
        batches = tf.data.Dataset.from_tensor_slices(numbers)
        batches = batches.batch(self._batch_size)
        return ExampleOrder(batches, numbers, None, self._digest_once)

    @functools.cached_property
    def _batch_size(self) -> int:
        first, *rest = self._sizes
        if any(n != first for n in rest[:-1]) or max(self._sizes) > first:
            raise NoCutError("the batches of the data have different sizes")
        return first

    def _check_known(self, digests) -> None:
        if not _is_among(digests, self._sorted).all():
            raise NoCutError(_DIFFERS)


_DIFFERS = (
    "the data differs from one pass to the next (augmentation in the pipeline, "
    "or `drop_remainder`)"
)


def _is_among(some: np.ndarray, sorted_ones: np.ndarray) -> np.ndarray:
    position = np.searchsorted(sorted_ones, some)
    return sorted_ones[position.clip(max=len(sorted_ones) - 1)] == some


def _check_dense(batch) -> None:
    if not all(isinstance(t, tf.Tensor) for t in keras.tree.flatten(batch)):
        raise NoCutError("the data has ragged or sparse tensors")
