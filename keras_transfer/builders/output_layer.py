"""The last layers of a classifier, where features become probabilities."""

from typing import NamedTuple

import keras

from keras_transfer.backbones.graph import functional_graph, ordered_nodes


class OutputLayer(NamedTuple):
    """What makes probabilities of features.

    Attributes:
        features: The tensor that it reads, in the graph of the model.
        parts: The `Dense` layers whose outputs, side by side, are the logits.
        activation: `"softmax"` or `"sigmoid"`.
        name: Name of the layer that gives the probabilities.
    """

    features: keras.KerasTensor
    parts: list[keras.layers.Dense]
    activation: str
    name: str


def find_output_layer(model: keras.Model) -> OutputLayer | None:
    """Find how a classifier ends, also in a model nested in it.

    Args:
        model: Any Keras model.

    Returns:
        An `OutputLayer`; `None` if the model has no graph, several outputs,
        or ends in something else, such as logits or a `Dense` with LoRA.
    """
    graph = functional_graph(model)
    found = None if graph is None else _follow_back(graph)
    if found is None:
        return None
    features, parts, last = found
    activations = set(map(_name_activation, last)) - {"linear"}
    if activations not in ({"softmax"}, {"sigmoid"}):
        return None
    return OutputLayer(features, parts, activations.pop(), last[0].name)


def _follow_back(graph) -> tuple | None:
    """Return features, the layers that read them, and all from the end on."""
    if len(graph.outputs) != 1:
        return None
    nodes = ordered_nodes(graph)
    makers = {id(tensor): node for node in nodes for tensor in node.outputs}
    [tensor], last = graph.outputs, []
    while (node := makers.get(id(tensor))) is not None:
        layer, entries = node.operation, node.input_tensors
        if isinstance(layer, keras.layers.Activation | keras.layers.Softmax):
            last.append(layer)
            [tensor] = entries
            continue
        inner = functional_graph(layer)
        if inner is not None and len(entries) == 1:
            return _follow_into(inner, layer.name, entries[0], last)
        makes = [node]
        if isinstance(layer, keras.layers.Concatenate):
            makes = [makers.get(id(entry)) for entry in entries]
        parts = [each and each.operation for each in makes]
        if not all(map(_is_plain_dense, parts)):
            return None
        reads = {id(t): t for each in makes for t in each.input_tensors}
        if len(reads) > 1 or (len(parts) > 1 and any(map(_squashes, parts))):
            return None
        return *reads.values(), parts, [*last, *parts]
    return None


def _follow_into(inner, name, entry, last) -> tuple | None:
    found = _follow_back(inner)
    if found is None:
        return None
    features, parts, its_last = found
    if features is inner.inputs[0]:
        features = entry
    else:
        features = keras.Model(inner.input, features, name=name)(entry)
    return features, parts, [*last, *its_last]


def _is_plain_dense(layer) -> bool:
    return (
        type(layer) is keras.layers.Dense
        and len(layer.weights) == 1 + layer.use_bias
    )


def _squashes(layer) -> bool:
    return _name_activation(layer) != "linear"


def _name_activation(layer) -> str:
    if isinstance(layer, keras.layers.Softmax):
        return "softmax" if layer.axis == -1 else "softmax along an axis"
    return getattr(layer.activation, "__name__", "")
