"""Functions of batches of several kinds, compiled once for each."""

from collections.abc import Callable

import keras
import tensorflow as tf


def compile_by_kind(function: Callable) -> Callable:
    """Compile a function of a batch, once for each kind of batch.

    A `tf.function` that is given images, then cached features, then those of
    another cut, traces each as well, but warns that it does so too often.

    Args:
        function: A function of a tensor or array, or a structure of them.

    Returns:
        A function of the same; batches of any size are of one kind.
    """
    compiled = {}

    def call(x):
        kind = repr(keras.tree.map_structure(_describe, x))
        if kind not in compiled:
            compiled[kind] = tf.function(
                function, autograph=False, reduce_retracing=True
            )
        return compiled[kind](x)

    return call


def _describe(part) -> tuple:
    return str(part.dtype), tuple(part.shape)[1:]
