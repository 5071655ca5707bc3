"""Runs a frozen graph in OpenVINO."""

import os
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_transfer.caching.engines.flat_function import find_ends
from keras_transfer.caching.engines.tensorflow_engine import freeze

# As for LiteRT: 380 images a second by 8, and 325 by 32.
AT_ONCE = 4 * os.cpu_count()
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def get_version() -> str:
    """Return the version of OpenVINO.

    Raises:
        ImportError: If it is not installed.
    """
    # What follows has slashes: "2026.4.1-22982-e213a147257-releases/2026/4".
    return _import_openvino().__version__.partition("-")[0]


def convert(function: tf.types.experimental.ConcreteFunction) -> bytes:
    """Freeze a function.

    OpenVINO reads this form in a tenth of a second, on every processor.

    Args:
        function: What `trace_flat` returned.

    Returns:
        A `GraphDef`.
    """
    return freeze(function).SerializeToString()


def load(
    converted: bytes, precision: str = "float32"
) -> Callable[[list[tf.Tensor]], list[np.ndarray]]:
    """Compile what `convert` returned for this machine.

    Args:
        converted: What `convert` returned.
        precision: In what to compute: "float32" or "bfloat16".

    Raises:
        ImportError: If OpenVINO is not installed.
    """
    core = _import_openvino().Core()
    # The reader of TensorFlow graphs takes nothing but the name of a file.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "frozen.pb")
        with open(path, "wb") as file:
            file.write(converted)
        model = core.read_model(path)
    # Without the hint, it computes in bfloat16 where the processor can.
    hint = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
    compiled = core.compile_model(model, "CPU", hint)
    known = {name for node in compiled.inputs for name in node.names}
    graph_def = tf.compat.v1.GraphDef.FromString(converted)
    ends, outputs = find_ends(graph_def)
    names = {n: f"{node.name}:0" for n, node in ends.items()}
    # OpenVINO 2026.4 loses the name of an output that is an input.
    nodes = {node.name: node for node in graph_def.node}
    numbers = {node.name: n for n, node in ends.items()}
    sources = [numbers.get(_find_source(nodes, name)) for name in outputs]
    ports = [
        compiled.output(f"{name}:0") if source is None else None
        for name, source in zip(outputs, sources, strict=True)
    ]

    def compute(tensors):
        arrays = {
            name: tensors[n].numpy()
            for n, name in names.items()
            if name in known
        }
        found = compiled(arrays)
        return [
            tensors[source] if port is None else found[port]
            for port, source in zip(ports, sources, strict=True)
        ]

    return compute


def _find_source(nodes, name) -> str:
    while nodes[name].op == "Identity":
        name = nodes[name].input[0].partition(":")[0]
    return name


def _import_openvino():
    name = "openvino_telemetry"
    hides = "openvino" not in sys.modules and name not in sys.modules
    if hides:
        # openvino 2026.4: to import it reports to Google Analytics, unless
        # this module, for which it has a substitute, is missing.
        sys.modules[name] = None
    try:
        import openvino
    except ImportError as error:
        raise ImportError(
            "OpenVINO is not installed. To install it: "
            '`pip install "keras-transfer[fast]"`. '
            "Received: engine='openvino'"
        ) from error
    finally:
        if hides:
            del sys.modules[name]
    return openvino
