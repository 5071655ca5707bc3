"""Try out what would train, and leave a model as it was."""

import contextlib
from collections.abc import Iterator

import keras

from keras_transfer.backbones.hub_layer import HubLayer


@contextlib.contextmanager
def restore_trainable(model: keras.Model) -> Iterator[None]:
    """Put back at the end what trains, and what was compiled for it.

    Args:
        model: A built Keras model.
    """
    compiled = model.train_function
    layers = [(layer, layer._trainable) for layer in model._flatten_layers()]
    weights = [(weight, weight.trainable) for weight in model.weights]
    modules = [
        (layer, layer.batch_norm, layer._choice)
        for layer, _ in layers
        if isinstance(layer, HubLayer)
    ]
    try:
        yield
    finally:
        for layer, flag in layers:
            layer._trainable = flag
        for weight, flag in weights:
            weight.trainable = flag
        for layer, batch_norm, choice in modules:
            layer.batch_norm, layer._choice = batch_norm, choice
        model.train_function = compiled
