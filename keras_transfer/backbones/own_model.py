"""Backbones made of the user's own models."""

import keras

from keras_transfer.backbones.applications import find_convention
from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.layer_groups import (
    find_head,
    find_nested_backbone,
)
from keras_transfer.backbones.preprocessing import make_preprocessing


def load_own_model(
    model: keras.Model,
    input_shape: tuple | None,
    preprocess: keras.layers.Layer | None,
) -> Backbone:
    """Make a backbone of a Keras model, without its head if it has one.

    A head is taken off if the model ends in softmax or sigmoid. The
    weights are shared with the model, not copied.

    Args:
        model: A built model with one input and one output.
        input_shape: Shape of one input, for models that do not tell it.
        preprocess: A layer that turns raw inputs into those of the model.
            By default the one of keras.applications where the model is named
            like one of theirs, and none otherwise.

    Returns:
        A `Backbone` with `source` set to the model's name.

    Raises:
        ValueError: If the input shape is not known, or is another already.
    """
    features = _features(model)
    if features is None:
        features = _call_on_input(model, input_shape)
    if preprocess is None:
        preprocess = make_preprocessing(find_convention(model.name)[1])
    modality = "image" if len(features.inputs[0].shape) == 4 else "other"
    backbone = Backbone(features, preprocess, model.name, modality)
    if input_shape is not None and tuple(input_shape) != backbone.input_shape:
        raise ValueError(
            f"Model {model.name} has the input shape {backbone.input_shape}, "
            f"which stays as it is. Received: input_shape={input_shape}"
        )
    return backbone


def _call_on_input(model, input_shape) -> keras.Model:
    if input_shape is None:
        raise ValueError(
            "This model does not tell its input shape (it is subclassed, or "
            "a Sequential without an input). Pass `input_shape`, without the "
            f"batch dimension. Received: source={model}, input_shape=None"
        )
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, model(inputs), name=model.name)


def _features(model) -> keras.Model | None:
    """Return a functional model without its head, if it has one."""
    graph = functional_graph(model)
    if graph is None:
        return None
    entry = head_input(model) if _squashes(model) else None
    outputs = graph.outputs if entry is None else [entry]
    # A model may take or return a dict or a list of one tensor.
    return keras.Model(
        graph.inputs[0] if len(graph.inputs) == 1 else graph.inputs,
        outputs[0] if len(outputs) == 1 else outputs,
        name=model.name,
    )


def _squashes(operation) -> bool:
    """Tell whether all outputs of an operation are probabilities."""
    graph = functional_graph(operation)
    if graph is not None:
        ends = [tensor._keras_history.operation for tensor in graph.outputs]
        return all(map(_squashes, ends))
    if type(operation).__name__ in ("Softmax", "Sigmoid"):
        return True
    squashes = (keras.activations.softmax, keras.activations.sigmoid)
    return getattr(operation, "activation", None) in squashes


def head_input(model: keras.Model):
    """Find the tensor that enters a model's head.

    Args:
        model: A functional or sequential model. It may be a wrapper around a
            whole classifier.

    Returns:
        A `KerasTensor` of the model's graph, or `None` if the model has no
        head or several tensors enter it.
    """
    graph = functional_graph(model)
    nodes = ordered_nodes(graph) if graph is not None else []
    head = find_head(graph) if nodes else set()
    backbone = find_nested_backbone(graph) if nodes and not head else None
    if backbone is not None:
        return _nested_head_input(nodes, backbone)
    crossing = {
        id(tensor): tensor
        for node in nodes
        if node.operation in head
        for tensor in node.input_tensors
        if tensor._keras_history.operation not in head
    }
    return next(iter(crossing.values())) if len(crossing) == 1 else None


def _nested_head_input(nodes: list, backbone):
    """Call a nested classifier without its head on what enters it."""
    entries = [
        tensor
        for node in nodes
        if node.operation is backbone
        for tensor in node.input_tensors
    ]
    inner = head_input(backbone)
    if inner is None or len(entries) > 1:
        return None
    body = keras.Model(
        functional_graph(backbone).input, inner, name=backbone.name
    )
    return body(entries[0])
