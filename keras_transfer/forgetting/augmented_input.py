"""Where the inputs of a model are as its augmentation has left them."""

from collections.abc import Iterator
from typing import NamedTuple

import keras

from keras_transfer.backbones.graph import (
    functional_graph,
    holds_weights,
    ordered_nodes,
)
from keras_transfer.caching.unrolled_graph import unroll_graph
from keras_transfer.forgetting.copy_model import copy_model


class AugmentedInput(NamedTuple):
    """What the first layer after the augmentation of a model reads.

    Attributes:
        tensor: The tensor, in the graph of the model.
        path: For each layer from the input to it, the set of operations that
            it consists of. Empty without augmentation.
        is_plain: Whether all of them are random layers, which in inference
            mode hand on what they are given.
    """

    tensor: keras.KerasTensor
    path: list[set]
    is_plain: bool


def find_augmented_input(model: keras.Model) -> AugmentedInput:
    """Find the tensor that leaves the last random layer before all weights.

    Args:
        model: A model with a graph and one input.

    Raises:
        ValueError: If there are random layers before the weights that do not
            lie on the way of the input, one after another.
    """
    graph = functional_graph(model)
    random = _find_random(graph)
    path = list(_follow_input(graph))
    ends = [n for n, (parts, _) in enumerate(path, 1) if parts & random]
    count = max(ends, default=0)
    parts = [parts for parts, _ in path[:count]]
    missed = random.difference(*parts)
    if missed:
        raise ValueError(
            "Old and new network must be shown the same pictures, and this "
            "model changes its own somewhere inside. Augment before all else, "
            "as with `kt.build_classifier(..., augmentation=...)`. Received: "
            f"new={model.name}, with {sorted(layer.name for layer in missed)}"
        )
    tensor = path[count - 1][1] if count else graph.inputs[0]
    return AugmentedInput(tensor, parts, all(p <= random for p in parts))


def copy_after_augmentation(
    model: keras.Model, entry: AugmentedInput
) -> keras.Model | None:
    """Copy what a model does with its augmented inputs.

    Args:
        model: A model with a graph, one input and one output.
        entry: Where these are found, perhaps in another model.

    Returns:
        A functional model that shares nothing with any other; `None` if the
        two models prepare their inputs in ways of their own.

    Raises:
        ValueError: If the model cannot be copied.
    """
    graph = functional_graph(model)
    # Not the model itself: loss and optimizer are not wanted.
    source = keras.Model(graph.inputs[0], graph.outputs[0], name=model.name)
    count = len(entry.path)
    if [parts for parts, _ in _follow_input(source)][:count] != entry.path:
        if not entry.is_plain:
            return None
        count = 0
    with model.distribute_strategy.scope():
        twin = copy_model(source)
    tensors = [twin.inputs[0], *(made for _, made in _follow_input(twin))]
    return keras.Model(tensors[count], twin.outputs[0], name=model.name)


def _find_random(graph) -> set:
    """Collect the layers that may change inputs before any weights do."""
    behind, found = set(), set()
    for step in unroll_graph(graph).steps:
        operation = step.operation
        if behind.intersection(step.reads.values()) or _learns(operation):
            behind.update(step.writes)
        elif isinstance(operation, keras.layers.Layer) and (
            operation._call_has_training_arg
            or any(x._seed_generators for x in operation._flatten_layers())
        ):
            found.add(operation)
    return found


def _learns(operation) -> bool:
    is_norm = isinstance(operation, keras.layers.Normalization)
    return holds_weights(operation) and not is_norm


def _follow_input(graph) -> Iterator[tuple[set, keras.KerasTensor]]:
    """Go from layer to layer, as long as only one reads what there is.

    Yields:
        The operations of each layer before the weights, and what it makes.
    """
    nodes, [tensor] = ordered_nodes(graph), graph.inputs
    while True:
        readers = [
            node
            for node in nodes
            if any(tensor is other for other in node.input_tensors)
        ]
        if len(readers) != 1 or _learns(readers[0].operation):
            return
        [node] = readers
        if len(node.input_tensors) != 1 or len(node.outputs) != 1:
            return
        [tensor] = node.outputs
        yield _list_parts(node.operation), tensor


def _list_parts(operation) -> set:
    graph = functional_graph(operation)
    if graph is None:
        return {operation}
    return {step.operation for step in unroll_graph(graph).steps} - {None}
