"""Compute the features of all examples of a data set once."""

import tensorflow as tf

from keras_transfer.caching.examples import OrderedExamples, StreamedExamples
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.feature_table import FeatureTable
from keras_transfer.caching.fill_folder import fill_folder
from keras_transfer.caching.fill_memory import fill_memory
from keras_transfer.caching.no_cut_error import NoCutError, NoRoomError
from keras_transfer.caching.prefix import Prefix
from keras_transfer.data.example_order import find_example_order


def list_examples(data, views: int = 1) -> OrderedExamples | StreamedExamples:
    """Return the examples of a data set.

    Args:
        data: A finite `tf.data.Dataset` of batches.
        views: How many times to read them.

    Raises:
        NoCutError: If it is a `PyDataset`, or never ends.
    """
    if not isinstance(data, tf.data.Dataset):
        raise NoCutError("a `PyDataset` may give other batches in each epoch")
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise NoCutError("the data never ends")
    order = find_example_order(data)
    if order is None:
        return StreamedExamples(data, views)
    return OrderedExamples(order, views=views)


def fill_feature_table(
    prefix: Prefix,
    examples: OrderedExamples | StreamedExamples,
    cache: FeatureCache | None = None,
    *,
    verbose: bool = False,
) -> FeatureTable:
    """Compute the features of all examples once.

    Data sets of `load_image_folder` and arrays keep their order, epoch by
    epoch. Others are read from begin to end, and keep their order, unless they
    shuffle anywhere: then the table has a shuffled order of its own.

    Args:
        prefix: What computes them.
        examples: The examples.
        cache: Where and how to keep features. Defaults to
            `FeatureCache()`.
        verbose: Whether to show a progress bar.

    Raises:
        NoCutError: If the table cannot stand for the data: it differs from
            one pass to the next, there is no room for it, or its examples
            have different shapes.
    """
    cache = FeatureCache() if cache is None else cache
    ways = [fill_folder] if cache.folder else [fill_memory, fill_folder]
    dtypes = [cache.dtype]
    if cache.dtype == "auto":
        dtypes = ["float32", "float16", "bfloat16"]
    reason = None
    for dtype in dtypes:
        for fill in ways:
            try:
                return fill(prefix, examples, cache, dtype, verbose)
            except NoRoomError as error:
                reason = reason or error
    raise reason
