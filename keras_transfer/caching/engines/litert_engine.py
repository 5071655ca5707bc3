"""Runs a function in LiteRT, the successor of TensorFlow Lite."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

# Its answers come from the processor's cache then: measured with MobileNetV2,
# 540 images a second by 8 on two cores, and 450 by 32.
AT_ONCE = 4 * os.cpu_count()


def get_version() -> str:
    """Return the version of TensorFlow, which converts.

    Raises:
        ImportError: If LiteRT, which runs, is not installed.
    """
    _import_interpreter()
    return tf.__version__


def convert(function: tf.types.experimental.ConcreteFunction) -> bytes:
    """Convert a function to a flatbuffer.

    Args:
        function: What `trace_flat` returned.

    Returns:
        A LiteRT model.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    return converter.convert()


def load(
    converted: bytes, precision: str = "float32"
) -> Callable[[list[tf.Tensor]], list[np.ndarray]]:
    """Make a function of what `convert` returned.

    Args:
        converted: What `convert` returned.
        precision: "float32", the only one.

    Raises:
        ImportError: If LiteRT is not installed.
    """
    interpreter = _import_interpreter()(
        model_content=converted, num_threads=os.cpu_count()
    )
    inputs = [d["index"] for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]
    allocated = None

    def compute(tensors):
        nonlocal allocated
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if shapes != allocated:
            for index, shape in zip(inputs, shapes, strict=True):
                interpreter.resize_tensor_input(index, shape)
            interpreter.allocate_tensors()
            allocated = shapes
        for index, tensor in zip(inputs, tensors, strict=True):
            interpreter.set_tensor(index, tensor.numpy())
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return compute


def _import_interpreter():
    # TensorFlow 2.21: its own, `tf.lite.Interpreter`, warns that it will go.
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "LiteRT is not installed. To install it: "
            '`pip install "keras-transfer[fast]"`. '
            "Received: engine='litert'"
        ) from error
    return Interpreter
