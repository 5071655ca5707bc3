"""Layer groups: the unit in which a network is trained or frozen."""

import dataclasses
import math

import keras

from keras_transfer.backbones.graph import (
    ancestors,
    descendants,
    functional_graph,
    group_operations,
    holds_weights,
    ordered_nodes,
    transforms,
)
from keras_transfer.backbones.hub_groups import hub_variable_groups
from keras_transfer.backbones.hub_layer import HubLayer


@dataclasses.dataclass(frozen=True, eq=False)
class LayerGroup:
    """A run of layers that are trained or frozen together.

    Attributes:
        name: `"stem"`, `"block_1"` …, or `"head"`.
        layers: The group's layers, from input to output, those without
            weights included. A layer whose variables fall into several groups
            (`HubLayer`) is in each of them.
        variables: The group's weights. Every weight of the model is in
            exactly one group.
    """

    name: str
    layers: tuple[keras.layers.Layer, ...]
    variables: tuple[keras.Variable, ...]


def layer_groups(
    model: keras.Model, *, with_head: bool = True
) -> tuple[LayerGroup, ...]:
    """Partition a model's weights into groups, from input to output.

    The groups are `stem`, one `block_N` for each block of the network, and
    `head`. Blocks are read from the layers' names for the families of
    `keras.applications`, from the shape of the graph for other functional
    models (residual and inception blocks; one layer a group where there are
    none), from the variables' names for TF Hub modules, and from the order of
    the sub-layers for subclassed models. Nested models are looked into. A
    functional model can be cut between any two groups (`split_model`).

    Example:

    ```python
    model = keras.applications.MobileNetV2(weights=None)
    [group.name for group in kt.layer_groups(model)]
    # ['stem', 'block_1', ..., 'block_16', 'head']
    ```

    Args:
        model: A Keras model, built.
        with_head: Whether the model ends in a head. Pass `False` for a bare
            backbone of dense layers, whose last layer is not to be taken for
            one. A network that ends in a feature map or in a pooling layer
            is known to have none.

    Returns:
        A tuple of `LayerGroup`.

    Raises:
        ValueError: If the model has no weights (yet).
    """
    if not holds_weights(model):
        raise ValueError(
            "The model has no weights to put into groups. Build it first "
            "(`model.build(input_shape)`, or call it on a batch). "
            f"Received: model={model}"
        )
    body, head = _partition(model, with_head)
    names = ["stem", *(f"block_{n}" for n in range(1, len(body)))]
    if head is not None:
        body, names = [*body, head], [*names, "head"]
    # Another head, which works in training alone.
    _extend(body[-1], getattr(model, "layers_beside_head", ()))
    owned = {id(v) for _, variables in body for v in variables}
    # What a model holds next to its layers (a temperature, say).
    body[0][1].extend(v for v in model.weights if id(v) not in owned)
    seen = set()
    return tuple(
        LayerGroup(name, tuple(layers), _unseen(variables, seen))
        for name, (layers, variables) in zip(names, body, strict=True)
    )


def _partition(model, with_head: bool) -> tuple[list, tuple | None]:
    """Split a model into `(layers, variables)` pairs, and one for its head."""
    if isinstance(model, HubLayer):
        groups = hub_variable_groups(model)
        return [([model], variables) for _, variables in groups], None
    graph = functional_graph(model)
    if graph is None:
        return _partition_sublayers(model, with_head)
    nodes = ordered_nodes(graph)
    operations = list(dict.fromkeys(node.operation for node in nodes))
    head = find_head(model) if with_head else set()
    backbone = find_nested_backbone(model)
    top = _contents([op for op in operations if op in head]) if head else None
    if backbone is None:
        before_head = [n for n in nodes if n.operation not in head]
        runs = group_operations(before_head, graph.outputs)
        return [_contents(run) for run in runs], top
    body, inner_top = _partition(backbone, with_head and not head)
    others = [op for op in operations if op not in head]
    position = others.index(backbone)
    _extend(body[0], others[:position], at_start=True)
    _extend(inner_top or body[-1], others[position + 1 :])
    return body, top or inner_top


def find_nested_backbone(model: keras.Model):
    """Return the nested model or hub layer that a model is built around.

    Returns:
        The one named `backbone`, or else the one with more than half of the
        weight tensors, nested heads aside; `None` if there is none.
    """
    graph = functional_graph(model)
    sizes, heads = {}, {}
    for node in ordered_nodes(graph) if graph else ():
        layer = node.operation
        if isinstance(layer, keras.Model | HubLayer) and layer.weights:
            if layer.name == "backbone":
                return layer
            is_flat = all(len(t.shape) <= 2 for t in node.input_tensors)
            kind = heads if is_flat and sizes else sizes
            kind[layer] = len(layer.weights)
    largest = max(sizes, key=sizes.get, default=None)
    total = len(model.weights) - sum(heads.values())
    return largest if sizes.get(largest, 0) > total / 2 else None


def count_weights(variables) -> int:
    """Count the numbers that a list of variables holds."""
    return sum(math.prod(variable.shape) for variable in variables)


def find_head(model: keras.Model) -> set:
    """Find the operations of a model's graph that come after the features.

    In a model around a nested backbone, that is all but the backbone and what
    leads to it. In another, features are what enters the last pooling or
    flattening or, where there is none, the last layer with weights before
    each output.

    Args:
        model: A functional or sequential model.

    Returns:
        A set of operations of the outermost graph; empty if the model ends
        in a feature map, a pooling layer or a nested backbone.
    """
    graph = functional_graph(model)
    nodes = ordered_nodes(graph)
    operations = {node.operation for node in nodes}
    backbone = find_nested_backbone(model)
    if backbone is not None:
        head = operations - {backbone} - ancestors(nodes, backbone)
    elif any(len(tensor.shape) > 2 for tensor in graph.outputs):
        return set()
    else:
        head = _after_collapse(nodes)
        if not head or set(filter(transforms, operations)) <= head:
            head = _after_last_weights(nodes)
    return head if any(map(holds_weights, head)) else set()


def _after_collapse(nodes: list) -> set:
    """Collect what follows the tensors' last loss of steps or height."""
    readers, collapses, leads_to_map = {}, set(), set()
    for node in reversed(nodes):
        after = any(id(tensor) in leads_to_map for tensor in node.outputs)
        if after or not all(map(_is_vector, node.outputs)):
            leads_to_map.update(map(id, node.input_tensors))
        elif _collapses(node):
            collapses.add(node.operation)
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), set()).add(node.operation)
    # Not a squeeze-and-excite path, which goes around its input.
    return descendants(
        nodes,
        {
            node.operation
            for node in nodes
            if node.operation in collapses
            and all(readers[id(t)] <= collapses for t in node.input_tensors)
        },
    )


def _collapses(node) -> bool:
    if holds_weights(node.operation):
        return False
    loses_rank = _rank(node.input_tensors) > 2 and _rank(node.outputs) == 2
    return loses_rank or type(node.operation).__name__.startswith("Global")


def _rank(tensors) -> int:
    return max((len(tensor.shape) for tensor in tensors), default=0)


def _is_vector(tensor) -> bool:
    """Tell whether a tensor has one vector an example, `(1, 1, n)` too."""
    return all(size == 1 for size in tensor.shape[1:-1])


def _after_last_weights(nodes: list) -> set:
    """Collect the layers with weights that lead to no others, and the rest."""
    leading, last, inner = set(), set(), set()
    for node in reversed(nodes):
        leads = any(id(tensor) in leading for tensor in node.outputs)
        if transforms(node.operation):
            (inner if leads else last).add(node.operation)
        if leads or transforms(node.operation):
            leading.update(map(id, node.input_tensors))
    return descendants(nodes, last - inner) if inner else set()


def _partition_sublayers(model, with_head: bool) -> tuple[list, tuple | None]:
    """Take each weighted sub-layer of a subclassed model for a group."""
    body = []
    for layer in model.layers or [model]:
        if not body or (holds_weights(layer) and body[-1][1]):
            body.append(([], []))
        _extend(body[-1], [layer])
    if with_head and len(body) > 1:
        return body[:-1], body[-1]
    return body, None


def _contents(operations) -> tuple[list, list]:
    layers = [op for op in operations if isinstance(op, keras.layers.Layer)]
    return layers, [v for layer in layers for v in layer.weights]


def _extend(group: tuple[list, list], operations, at_start=False) -> None:
    for old, new in zip(group, _contents(operations), strict=True):
        position = 0 if at_start else len(old)
        old[position:position] = new


def _unseen(variables, seen: set) -> tuple:
    fresh = tuple(v for v in variables if id(v) not in seen)
    seen.update(map(id, fresh))
    return fresh
