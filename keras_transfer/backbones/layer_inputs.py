"""What a layer is called with, wherever in a model it is."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def hear_inputs(layer: keras.layers.Layer) -> Iterator[list]:
    """Keep what a layer is called with first.

    It works in nested models, and from the cut of a model on. A model of its
    own, up to the layer, would change what the layers know about the graph
    that they are in.

    Args:
        layer: The layer. It is left as it was.

    Yields:
        A list, which the call fills with tensors.
    """
    heard, call, own = [], layer.call, vars(layer).get("call")

    def hear(*args, **kwargs):
        if not heard:
            heard.extend(keras.tree.flatten(args[:1] or kwargs))
        return call(*args, **kwargs)

    vars(layer)["call"] = hear
    try:
        yield heard
    finally:
        del vars(layer)["call"]
        if own is not None:
            vars(layer)["call"] = own
