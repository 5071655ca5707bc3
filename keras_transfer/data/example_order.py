"""Data sets that know the order of their examples apart from the examples."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleOrder:
    """What a data set is made of.

    Whoever keeps something about each example (its features, say) can give
    that in the order in which the data set would have given the example.

    Attributes:
        batches: A `tf.data.Dataset` of batches of numbers, `int64`, in a new
            order each epoch where the data is shuffled. Data sets made from
            it share what decides the order: each iteration over any of them
            is the next epoch of all.
        numbers: The numbers of all examples, `int64`, in a fixed order.
        fetch: A function for `tf.data.Dataset.map`, from numbers to a batch.
        digest: A function that computes a digest of each example, in the
            order of `numbers`, as `digest_examples` does. Two examples with
            the same digest are the same. `None` where there is no quick way.
        labels: The labels of all examples in that order, or a structure of
            them; `None` where they are not at hand.
    """

    batches: tf.data.Dataset
    numbers: np.ndarray
    fetch: Callable
    digest: Callable[[], np.ndarray] | None = None
    labels: object = None

    def make_dataset(self) -> tf.data.Dataset:
        """Return the data set, which has this as its `example_order`."""
        dataset = fetch_batches(self.batches, self.fetch)
        dataset.example_order = self
        return dataset


def shuffle_numbers(
    numbers: np.ndarray, *seed: int, epochs: Iterator[int] | None = None
) -> tf.data.Dataset:
    """Give numbers in an order that only the seed and the epoch decide.

    Args:
        numbers: The numbers, `int64`.
        *seed: The seed, one number or several.
        epochs: Gives the number of each epoch, as it is drawn. Defaults to
            counting them.
    """
    epochs = itertools.count() if epochs is None else epochs

    def draw():
        generator = np.random.default_rng([*seed, next(epochs)])
        return generator.permutation(numbers)

    once = tf.data.Dataset.range(1)
    order = once.map(lambda _: tf.numpy_function(draw, [], tf.int64)).unbatch()
    return order.apply(tf.data.experimental.assert_cardinality(len(numbers)))


def fetch_batches(batches: tf.data.Dataset, fetch: Callable) -> tf.data.Dataset:
    """Turn batches of numbers into batches of something else.

    Args:
        batches: A `tf.data.Dataset` of batches of numbers.
        fetch: A function for `tf.data.Dataset.map`.
    """
    options = tf.data.Options()
    options.deterministic = True
    # The autotuner can round a short epoch up to a whole second.
    options.autotune.enabled = False
    return batches.map(fetch).prefetch(2).with_options(options)


def find_example_order(data) -> ExampleOrder | None:
    """Return the `ExampleOrder` of a data set of ours, or `None`."""
    return getattr(data, "example_order", None)


def without_epoch(data, batch_size: int = 32):
    """Go through data of ours in a way that does not count as an epoch.

    Args:
        data: A data set. If it is one of ours, its order goes on afterwards
            as if it had not been read.
        batch_size: Examples a batch, then.

    Returns:
        A data set with the same examples.
    """
    order = find_example_order(data)
    if order is None:
        return data
    numbers = tf.data.Dataset.from_tensor_slices(order.numbers)
    return fetch_batches(numbers.batch(batch_size), order.fetch)


def spread_examples(data, count: int):
    """Take a few examples from all over data of ours, as one batch.

    Args:
        data: A data set with an `example_order`, which goes on afterwards as
            if it had not been read.
        count: How many examples, at most.

    Returns:
        A data set of one batch.
    """
    order = find_example_order(data)
    rows = np.linspace(0, len(order.numbers) - 1, count).astype(int)
    numbers = tf.data.Dataset.from_tensors(order.numbers[np.unique(rows)])
    return fetch_batches(numbers, order.fetch)
