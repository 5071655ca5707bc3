"""Runs a frozen graph in TensorFlow, with BatchNorm folded."""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from keras_transfer.caching.engines.flat_function import find_ends
from keras_transfer.caching.engines.folding import fold_scales

AT_ONCE = None  # a call costs what eight images of MobileNetV3 do


def get_version() -> str:
    """Return the version of TensorFlow."""
    return tf.__version__


def freeze(
    function: tf.types.experimental.ConcreteFunction,
) -> tf.compat.v1.GraphDef:
    """Return the graph of a function, with constants for its variables.

    Args:
        function: What `trace_flat` returned.
    """
    frozen = convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )
    return frozen.graph.as_graph_def()


def convert(function: tf.types.experimental.ConcreteFunction) -> bytes:
    """Freeze a function and fold its BatchNorm.

    Args:
        function: What `trace_flat` returned.

    Returns:
        A `GraphDef`.
    """
    graph_def = freeze(function)
    _, outputs = find_ends(graph_def)
    return fold_scales(graph_def, outputs).SerializeToString()


def load(
    converted: bytes, precision: str = "float32"
) -> Callable[[list[tf.Tensor]], list[tf.Tensor]]:
    """Make a function of what `convert` returned.

    Args:
        converted: What `convert` returned.
        precision: "float32", the only one.
    """
    graph_def = tf.compat.v1.GraphDef.FromString(converted)
    inputs, outputs = find_ends(graph_def)
    signature = [
        tf.TensorSpec(node.attr["shape"].shape, node.attr["dtype"].type)
        for node in inputs.values()
    ]

    @tf.function(input_signature=signature, autograph=False)
    def compute(*tensors):
        names = [node.name for node in inputs.values()]
        return tf.graph_util.import_graph_def(
            graph_def,
            dict(zip(names, tensors, strict=True)),
            [f"{name}:0" for name in outputs],
            name="frozen",
        )

    return lambda tensors: compute(*[tensors[n] for n in inputs])
