"""Features of a frozen network, computed once, for a training of one's own."""

import dataclasses

import keras
import tensorflow as tf

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.caching.cut import Cut, NoCutError
from keras_transfer.caching.feature_table import fill_feature_table
from keras_transfer.data.array_batches import batch_arrays

_BATCH_SIZE = 32


def cache_features(
    model: keras.Model | Backbone,
    data,
    *,
    seed: int = 0,
    memory_limit: int | None = None,
    verbose: bool = False,
) -> tf.data.Dataset:
    """Compute the frozen part of a model once for each example.

    The features are kept in memory. Data of `load_image_folder` comes in the
    order in which it would have come, epoch by epoch; other data sets that
    shuffle are shuffled globally, and all others keep their order.

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
        seed: Seed for data sets that are shuffled here. Defaults to 0.
        memory_limit: How many bytes may be used. Defaults to half of what is
            free.
        verbose: Whether to show a progress bar. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of batches of features in place of `x`: a tensor,
        or a tuple where several leave the frozen part. It has the
        `class_names` of the data.

    Raises:
        ValueError: If there is nothing to cache, or it cannot be, with the
            reason.
    """
    names = getattr(data, "class_names", None)
    if isinstance(data, tuple):
        data = batch_arrays(data, _BATCH_SIZE)
    try:
        run = _find_function(model)
        table = fill_feature_table(
            run, data, memory_limit=memory_limit, verbose=verbose
        )
    except NoCutError as reason:
        raise ValueError(
            f"Features cannot be cached: {reason}. Received: model={model}, "
            f"data={data}"
        ) from None
    features, *rest = table.columns
    features = tuple(features.values())
    if len(features) == 1:
        [features] = features
    table = dataclasses.replace(table, columns=(features, *rest))
    dataset = table.reshuffle(seed).make_dataset()
    if names is not None:
        dataset.class_names = names
    return dataset


def _find_function(model):
    if not isinstance(model, Backbone):
        return Cut(model).run_prefix

    def run(inputs):
        x = model.preprocess(inputs)
        return {"features": model.model(x, training=False)}

    return run
