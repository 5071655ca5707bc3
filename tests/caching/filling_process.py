"""A process that fills a folder with features, for tests that kill it.

    python -m tests.caching.filling_process FOLDER DELAY EXAMPLES

Waits DELAY seconds before each batch.
"""

import sys
import time

import numpy as np

from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.fill_feature_table import (
    fill_feature_table,
    list_examples,
)
from keras_transfer.caching.prefix import Prefix
from keras_transfer.data.array_batches import batch_arrays


def make_examples(count):
    x = np.random.default_rng(0).normal(size=(count, 6)).astype("float32")
    return x, np.arange(count)


def fill(folder, count=640, delay=0.0, factor=2, seen=None, first=0, **options):
    """Fill a folder; return all features in the order of the examples."""

    def compute(x):
        if seen is not None:
            seen.append(len(x))
        time.sleep(delay)
        return {"times": factor * x}

    prefix = Prefix(compute, lambda: "times")
    prefix.start = lambda inputs, folder: compute  # without a trace
    data = batch_arrays(tuple(x[first:] for x in make_examples(count)), 32)
    cache = FeatureCache(folder, **options)
    table = fill_feature_table(prefix, list_examples(data), cache)
    parts = [features["times"] for features, _ in table.make_dataset()]
    return np.concatenate(parts)


if __name__ == "__main__":
    folder, delay, count = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    fill(folder, int(count), float(delay))
