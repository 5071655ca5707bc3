"""Compiled functions that are made anew for each model and phase."""

from collections.abc import Callable

import tensorflow as tf


def quiet_function(function: Callable) -> Callable:
    """Compile a function of which there will be others of the same code.

    TensorFlow 2.21 counts how often the same Python code is traced, whichever
    function it belongs to, and warns of a loop that makes functions: at the
    fifth model, or phase, of a process.

    Args:
        function: A function of tensors.

    Returns:
        A `tf.function` that generalizes over sizes, without autograph.
    """
    compiled = tf.function(function, autograph=False, reduce_retracing=True)
    compiled._omit_frequent_tracing_warning = True
    return compiled
