"""Compute features and keep them in memory."""

import keras
import psutil
import tensorflow as tf

from keras_transfer.caching.examples import OrderedExamples, StreamedExamples
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.feature_table import (
    FeatureTable,
    MemoryRows,
    count_bytes,
)
from keras_transfer.caching.no_cut_error import NoCutError, NoRoomError
from keras_transfer.caching.prefix import Prefix
from keras_transfer.caching.storage_dtype import narrow


def fill_memory(
    prefix: Prefix,
    examples: OrderedExamples | StreamedExamples,
    cache: FeatureCache,
    dtype: str,
    verbose: bool,
) -> FeatureTable:
    """Compute the features of all examples.

    Args:
        prefix: What computes them.
        examples: The examples.
        cache: How much memory there is.
        dtype: In which to keep features.
        verbose: Whether to show a progress bar.

    Raises:
        NoCutError: If they do not fit into memory or into the dtype, or the
            examples have different shapes.
    """
    limit = find_memory_limit(cache)
    bar = keras.utils.Progbar(examples.steps) if verbose else None
    parts, done, size, compute = [], 0, 0, None
    for batch in examples.batches():
        if compute is None:
            prefix.choose_engine(_estimate_count(examples, batch))
            compute = prefix.start(batch[0])
        features = compute(batch[0])
        part = (narrow(features, dtype), *batch[1:])
        flat = keras.tree.flatten(part)
        with tf.device("CPU"):  # a GPU has less room
            part = keras.tree.map_structure(tf.identity, part)
        if parts and _row_shapes(part) != _row_shapes(parts[0]):
            raise NoCutError("the examples have different shapes")
        parts.append(part)
        done += int(flat[0].shape[0])
        size += sum(map(count_bytes, flat))
        whole = size / done * (examples.count or done)
        if examples.steps and not examples.count:
            whole = size / len(parts) * examples.steps
        # Once more that, as long as the parts are being put together.
        if 2 * whole > limit:
            raise NoRoomError(
                f"{2 * whole / 1e6:,.1f} MB of memory would be needed, and "
                f"{limit / 1e6:,.1f} MB may be used"
            )
        if bar is not None:
            bar.add(1)
    with tf.device("CPU"):
        columns = keras.tree.map_structure(lambda *p: tf.concat(p, 0), *parts)
        columns = examples.arrange(columns)
    dtypes = tuple(tensor.dtype for tensor in keras.tree.flatten(features))
    return FeatureTable(
        MemoryRows(columns),
        examples.order,
        dtypes,
        examples.views,
        examples.shuffled_batches,
    )


def find_memory_limit(cache: FeatureCache) -> int:
    """Return how many bytes of memory a cache may use."""
    if cache.memory_limit is not None:
        return cache.memory_limit
    return psutil.virtual_memory().available // 2


def _estimate_count(examples, batch) -> int:
    in_batch = len(keras.tree.flatten(batch)[0])
    return examples.count or in_batch * (examples.steps or 0)


def _row_shapes(part) -> list:
    return [tensor.shape[1:] for tensor in keras.tree.flatten(part)]
