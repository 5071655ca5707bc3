"""One vector of features for each example, and its class."""

import os
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.caching.cache_features import cache_features
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.data.labelled_data import class_numbers
from keras_transfer.freezing.quiet_function import quiet_function

_FEW_BATCHES = 8


def pooled_features(
    backbone: Backbone,
    data,
    *,
    cache: FeatureCache | str | os.PathLike | None = None,
    engine: str | None = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what a head sees of each example, in one pass.

    Args:
        backbone: From `load_backbone`.
        data: A data set of batches `(x, y)`.
        cache: A `FeatureCache` or folder to keep features in, for other
            calls. Without it, data may be of any kind, augmented too.
        engine: What computes them for a cache, as in `fine_tune`.

    Returns:
        Tuple `(features, labels)`: the backbone's features, averaged over
        height, width and steps, float32 `(examples, features)`; and the
        numbers of the classes, int64 `(examples,)`; in the order of `data`.

    Raises:
        ValueError: If the data does not fit, has no examples, or is to be
            cached and cannot be.
    """
    if cache is None:
        found, labels = describe_examples({"": pool(backbone)}, data)
        return found[""], labels
    network = _add_pooling(backbone)
    pooled = Backbone(network, backbone.preprocess, backbone.source)
    cached = cache_features(pooled, data, cache=cache, engine=engine)
    found, labels = describe_examples({"": lambda x: x}, cached)
    return found[""], labels


def describe_examples(
    ways: Mapping[str, Callable], data
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Describe each example in a few ways, in one pass over the data.

    Args:
        ways: Functions from a batch of inputs to vectors, by name.
        data: As for `iterate_batches`.

    Returns:
        Tuple `(described, labels)`: float32 arrays `(examples, features)` by
        name, and the numbers of the classes, int64 `(examples,)`.

    Raises:
        ValueError: If there are no examples, or labels are no classes.
    """
    if not _is_small(data):
        ways = {name: quiet_function(way) for name, way in ways.items()}
    columns, labels = {name: [] for name in ways}, []
    for x, y in iterate_batches(data):
        for name, way in ways.items():
            vectors = keras.ops.convert_to_numpy(way(x))
            columns[name].append(vectors.astype("float32", copy=False))
        labels.append(keras.ops.convert_to_numpy(y))
    if not labels:
        raise ValueError(f"There are no examples. Received: data={data!r}")
    described = {name: np.concatenate(c) for name, c in columns.items()}
    return described, class_numbers(np.concatenate(labels))


def _is_small(data) -> bool:
    """Tell whether it would take longer to trace a network than to use it."""
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches <= _FEW_BATCHES
    return isinstance(data, tf.data.Dataset) and (
        0 <= int(data.cardinality()) <= _FEW_BATCHES
    )


def pool(backbone: Backbone) -> Callable:
    """Make a function from raw inputs to a backbone's pooled features.

    Args:
        backbone: From `load_backbone`; its weights are used as they are.

    Returns:
        A function from a batch of inputs to `(batch, features)`.
    """
    network = _add_pooling(backbone)
    return lambda x: network(backbone.preprocess(x), training=False)


def _add_pooling(backbone) -> keras.Model:
    output = backbone.model.output
    if len(output.shape) > 2:
        axes = tuple(range(1, len(output.shape) - 1))
        output = keras.ops.mean(output, axis=axes)
    return keras.Model(backbone.model.input, output)
