"""Features of a frozen network, computed once, for a training of one's own."""

import os

import keras
import tensorflow as tf

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.graph import functional_graph
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.fill_feature_table import (
    fill_feature_table,
    list_examples,
)
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.prefix import Prefix, check_engine
from keras_transfer.caching.prefix_key import digest_prefix, digest_weights
from keras_transfer.caching.unrolled_graph import unroll_graph
from keras_transfer.data.array_batches import batch_arrays

_BATCH_SIZE = 32


def cache_features(
    model: keras.Model | Backbone,
    data,
    *,
    cache: FeatureCache | str | os.PathLike | None = None,
    engine: str | None = "auto",
    seed: int = 0,
    verbose: bool = False,
) -> tf.data.Dataset:
    """Compute the frozen part of a model once for each example.

    Data of `load_image_folder` comes in the order in which it would have come,
    epoch by epoch; other data sets that shuffle are shuffled globally, and all
    others keep their order.

    `kt.fine_tune` does this by itself; here it is for a head of one's own:

    Example:

    ```python
    features = kt.cache_features(backbone, train)
    head = keras.Sequential([
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ])
    head.compile("adam", "sparse_categorical_crossentropy")
    head.fit(features, epochs=50)
    ```

    Args:
        model: A `Backbone`, whose features are those of its `model` for raw
            inputs; or a functional or sequential model with some frozen layer
            groups (`set_trainable`), whose features are the tensors that
            leave its frozen part.
        data: A finite `tf.data.Dataset` of batches `(x, y)` or
            `(x, y, sample_weight)`, or such a tuple of arrays. Augmentation
            in its pipeline is refused: each example is seen once.
        cache: A `FeatureCache`, or a folder to keep the features in. Defaults
            to `None`: in memory, if they fit.
        engine: What computes them, as in `fine_tune`. Defaults to `"auto"`.
        seed: Seed for data sets that are shuffled here. Defaults to 0.
        verbose: Whether to show a progress bar. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of batches of features in place of `x`: a tensor,
        or a tuple where several leave the frozen part. It has the
        `class_names` of the data.

    Raises:
        ValueError: If there is nothing to cache, or it cannot be, with the
            reason; or if an argument is not as described.
    """
    check_engine(engine)
    cache = FeatureCache.of(cache)
    names = getattr(data, "class_names", None)
    if isinstance(data, tuple):
        data = batch_arrays(data, _BATCH_SIZE)
    try:
        prefix = Prefix(*_find_function(model), engine)
        table = fill_feature_table(
            prefix, list_examples(data), cache, verbose=verbose
        )
    except NoCutError as reason:
        raise ValueError(
            f"Features cannot be cached: {reason}. Received: model={model}, "
            f"data={data}"
        ) from None
    dataset = table.make_dataset(seed)
    if len(table.dtypes) == 1:
        dataset = dataset.map(lambda x, *rest: (*x.values(), *rest))
    else:
        dataset = dataset.map(lambda x, *rest: (tuple(x.values()), *rest))
    if names is not None:
        dataset.class_names = names
    return dataset


def _find_function(model) -> tuple:
    """Return what computes features, and what gives it a name."""
    if not isinstance(model, Backbone):
        cut = Cut(model)
        return cut.run_prefix, cut.digest
    network, preprocess = model.model, model.preprocess

    def run(inputs):
        return {"features": network(preprocess(inputs), training=False)}

    def digest():
        graph = functional_graph(network)
        if graph is None:
            raise NoCutError("the backbone has no graph to know it by")
        unrolled = unroll_graph(graph)
        return digest_prefix(
            unrolled.steps,
            unrolled.inputs,
            unrolled.outputs,
            digest_weights(network.variables),
            preprocess,
        )

    return run, digest
