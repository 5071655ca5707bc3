"""Compute features and keep them on disk."""

import dataclasses
import hashlib
import os
import weakref

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.disk_room import make_room
from keras_transfer.caching.examples import OrderedExamples, StreamedExamples
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.feature_folder import FeatureFolder
from keras_transfer.caching.feature_table import (
    FeatureTable,
    MemoryRows,
    StoredRows,
)
from keras_transfer.caching.fill_memory import find_memory_limit
from keras_transfer.caching.no_cut_error import NoCutError, NoRoomError
from keras_transfer.caching.prefix import Prefix
from keras_transfer.caching.row_layout import RowLayout
from keras_transfer.caching.storage_dtype import narrow

_CHUNK = 1024
_in_use = weakref.WeakSet()


def fill_folder(
    prefix: Prefix,
    examples: OrderedExamples | StreamedExamples,
    cache: FeatureCache,
    dtype: str,
    verbose: bool,
) -> FeatureTable:
    """Compute the features of those examples that are not there yet.

    What is there was checked by its digests. In addition, the features of two
    examples are computed and compared with what is there: a layer whose code
    has changed gives other ones, with the same configuration.

    Args:
        prefix: What computes them.
        examples: The examples.
        cache: Where to keep them.
        dtype: In which to keep features.
        verbose: Whether to show a progress bar.

    Returns:
        A table that reads them from disk, or holds them in memory if they fit.

    Raises:
        NoCutError: If they cannot be kept there, with the reason.
    """
    try:
        table = _fill(prefix, examples, cache, dtype, verbose)
        return _load(table, cache)
    except OSError as error:
        raise NoRoomError(
            f"they cannot be kept in {cache.path}: {error}"
        ) from error


def _fill(prefix, examples, cache, dtype, verbose) -> FeatureTable:
    digests = examples.digests
    prefix.choose_engine(len(digests))
    sample, batch = examples.sample()
    features = prefix.function(batch[0])
    layout = RowLayout((narrow(features, dtype), *batch[1:]))
    folder = _open_folder(prefix, layout, cache)
    places = folder.find(digests)
    if examples.views == 1 and not _is_right(
        prefix, folder, layout, examples, np.unique(digests[places[:, 0] >= 0])
    ):
        folder.forget()
        places = folder.find(digests)
    _in_use.add(folder)

    folder.touch(places)
    missing = np.unique(digests[places[:, 0] < 0])
    make_room(
        cache.path,
        len(missing) * layout.row.itemsize,
        limit=cache.disk_limit,
        keep=[file for used in _in_use for file in used.files],
    )
    if len(missing):
        bar = keras.utils.Progbar(len(missing)) if verbose else None
        batches = examples.read(missing)
        _add(prefix, folder, layout, dtype, batches, bar)
        places = folder.find(digests)
    if (places < 0).any():
        raise NoCutError("the data differs from one pass to the next")
    dtypes = tuple(tensor.dtype for tensor in keras.tree.flatten(features))
    return FeatureTable(
        StoredRows(folder, places, layout),
        examples.order,
        dtypes,
        examples.views,
        examples.shuffled_batches,
    )


def _open_folder(prefix, layout, cache) -> FeatureFolder:
    key = f"{prefix.key} {layout.describe()}"
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return FeatureFolder(os.path.join(cache.path, name), layout.row)


def _is_right(prefix, folder, layout, examples, known) -> bool:
    """Compare the features of two examples with those that are there."""
    if not len(known):
        return True
    digests, batch = next(examples.read(np.unique(known[[0, -1]])))
    stored = layout.unpack(folder.read(folder.find(digests)))
    features = keras.tree.flatten(prefix.function(batch[0]))
    for tensor, kept in zip(features, stored, strict=False):
        expected = tensor.numpy().astype("float64")
        error = np.abs(expected - kept.astype("float64")).max()
        if error and not error <= prefix.tolerance * np.abs(expected).max():
            return False
    return True


def _add(prefix, folder, layout, dtype, batches, bar) -> None:
    compute = None
    try:
        for digests, batch in batches:
            if compute is None:
                compute = prefix.start(batch[0], folder.path)
            part = (narrow(compute(batch[0]), dtype), *batch[1:])
            folder.append(digests, layout.pack(part))
            if bar is not None:
                bar.add(len(digests))
    except OSError:
        folder.forget_own()  # a full disk stops more than this
        raise


def _load(table: FeatureTable, cache: FeatureCache) -> FeatureTable:
    """Put what fits into memory there."""
    if 2 * table.bytes > find_memory_limit(cache):
        return table
    count = table.views * len(table.order.numbers)
    with tf.device("CPU"):
        parts = [
            table.rows.take(tf.range(start, min(start + _CHUNK, count)))
            for start in range(0, count, _CHUNK)
        ]
        columns = keras.tree.map_structure(lambda *p: tf.concat(p, 0), *parts)
    return dataclasses.replace(table, rows=MemoryRows(columns))
