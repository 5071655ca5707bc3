"""A function of structures as a graph of numbered inputs and outputs."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

# No layer has such a name, so TensorFlow keeps these as they are.
_INPUT = "keras_transfer_input_"
_OUTPUT = "keras_transfer_output_"


def trace_flat(
    function: Callable[..., dict], batch, names: Sequence[str]
) -> tf.types.experimental.ConcreteFunction:
    """Trace a function for batches of any size.

    Args:
        function: From a batch of inputs to a dictionary of tensors.
        batch: A batch of inputs: a tensor, or a structure of tensors.
        names: The keys of the dictionary, in the order of the outputs.

    Returns:
        A function from the tensors of a batch to a list of tensors. Inputs
        and outputs are the nodes that `find_ends` names.
    """
    specs = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, f"{_INPUT}{n}")
        for n, tensor in enumerate(keras.tree.flatten(batch))
    ]

    def compute(*tensors):
        outputs = function(keras.tree.pack_sequence_as(batch, tensors))
        return [
            tf.identity(outputs[name], f"{_OUTPUT}{n}")
            for n, name in enumerate(names)
        ]

    return tf.function(compute, autograph=False).get_concrete_function(*specs)


def find_ends(
    graph_def: tf.compat.v1.GraphDef,
) -> tuple[dict[int, tf.compat.v1.NodeDef], list[str]]:
    """Find the inputs and outputs of what `trace_flat` traced.

    Args:
        graph_def: The graph, in any converted form.

    Returns:
        A dictionary from the number of an input to its node, without those
        that nothing reads where the graph has lost them, and a list of the
        names of the outputs.
    """
    inputs = {
        int(node.name.removeprefix(_INPUT)): node
        for node in graph_def.node
        if node.op == "Placeholder" and node.name.startswith(_INPUT)
    }
    outputs = sum(node.name.startswith(_OUTPUT) for node in graph_def.node)
    return inputs, [f"{_OUTPUT}{n}" for n in range(outputs)]
