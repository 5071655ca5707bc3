"""What a backbone makes of examples, before the head judges it."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.backbones.layer_inputs import hear_inputs
from keras_transfer.caching.answers import as_float32
from keras_transfer.freezing.quiet_function import quiet_function


def make_embed(model: keras.Model) -> Callable:
    """Make a function that computes what enters the head of a classifier.

    Args:
        model: A Keras model, built.

    Returns:
        A function from a batch of inputs to float32 embeddings
        `(batch, features)` and what `make_predict` gives, which would take a
        trace of its own. What enters the first layer with weights of the head
        is averaged over height, width and steps. Like the model, it takes the
        tensors of the model's cut as well.

    Raises:
        ValueError: If the model has no head.
    """
    layer = _find_first_of_head(model)

    def embed(x):
        with hear_inputs(layer) as heard:
            outputs = model(x, training=False)
        if not heard:
            raise ValueError(f"`{layer.name}` is not called by {model.name}.")
        vectors = [_as_vectors(tensor) for tensor in heard]
        return tf.concat(vectors, axis=-1), as_float32(outputs)

    return embed if model.run_eagerly else quiet_function(embed)


def _find_first_of_head(model) -> keras.layers.Layer:
    head = layer_groups(model)[-1]
    for layer in head.layers if head.name == "head" else ():
        for inner in layer._flatten_layers():
            if inner._trainable_variables:
                return inner
    raise ValueError(f"The model has no head. Received: model={model.name}")


def _as_vectors(tensor):
    tensor = tf.cast(tensor, "float32")
    middle = list(range(1, len(tensor.shape) - 1))
    return tf.reduce_mean(tensor, middle) if middle else tensor
