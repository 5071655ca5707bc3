"""Statistics of BatchNorm that arrive within a short training."""

import contextlib
from collections.abc import Iterator

import keras

_QUICK = 0.9  # PyTorch's rule; that of Keras, 0.99, takes ten times as long.


@contextlib.contextmanager
def quick_statistics(model: keras.Model) -> Iterator[None]:
    """Let the moving averages of BatchNorm follow training within ten steps.

    From random weights they start at 0 and 1, and with a momentum of 0.99 are
    still an eighth of the way from there after 200 steps: what the model has
    learned does not show in `evaluate` then. What is traced inside of the
    block has a momentum of 0.9, or its own where that is less.

    Args:
        model: A Keras model.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    own = [layer.momentum for layer in layers]
    for layer, momentum in zip(layers, own, strict=True):
        layer.momentum = min(momentum, _QUICK)
    try:
        yield
    finally:
        for layer, momentum in zip(layers, own, strict=True):
            layer.momentum = momentum
