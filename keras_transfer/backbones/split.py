"""Cut a network in two between layer groups."""

import keras

from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.layer_groups import layer_groups


def split_model(
    model: keras.Model, after: str
) -> tuple[keras.Model, keras.Model]:
    """Cut a network after a layer group.

    Both parts share their layers with the model. The tensors that leave the
    first part are the inputs of the second, in the same order:
    `rest(prefix(x))` equals `model(x)`.

    Example:

    ```python
    base = keras.applications.MobileNetV2(include_top=False)
    prefix, rest = split_model(base, after="block_13")
    ```

    Args:
        model: A functional or sequential model without a nested backbone.
        after: Name of the last layer group of the first part.

    Returns:
        The two models `(prefix, rest)`.

    Raises:
        ValueError: If there is no such group, if it is the last one, or if
            the model has no graph that could be cut there.
    """
    groups = layer_groups(model)
    names = [group.name for group in groups]
    if after not in names[:-1]:
        raise ValueError(
            "`after` must name a layer group that others follow: "
            f"{names[:-1]}. Received: after={after!r}"
        )
    graph = functional_graph(model)
    nodes = ordered_nodes(graph) if graph else []
    position = names.index(after) + 1
    first = _layers(groups[:position])
    second = _layers(groups[position:])
    operations = {node.operation for node in nodes}
    layers = {op for op in operations if isinstance(op, keras.layers.Layer)}
    if graph is None or first & second or not layers <= first | second:
        raise ValueError(
            "The groups of this model are not separate layers of its graph "
            "(a subclassed model, a TF Hub module or a nested backbone), so "
            "it cannot be cut between them. Cut the nested backbone itself. "
            f"Received: model={model.name}"
        )
    late = _late_nodes(nodes, second)
    made_late = {id(tensor) for node in late for tensor in node.outputs}
    used_late = [t for node in late for t in node.input_tensors]
    cut = {
        id(tensor): tensor
        for tensor in (*used_late, *graph.outputs)
        if id(tensor) not in made_late
    }
    prefix = keras.Model(
        graph.input, list(cut.values()), name=f"{model.name}_prefix"
    )
    return prefix, _run_on_cut(late, cut, graph, f"{model.name}_rest")


def _layers(groups) -> set:
    return {layer for group in groups for layer in group.layers}


def _late_nodes(nodes: list, second: set) -> list:
    """List the nodes of the second part.

    A layer of the first part may be used again there.
    """
    late, made_late = [], set()
    for node in nodes:
        follows = any(id(tensor) in made_late for tensor in node.input_tensors)
        if follows or node.operation in second:
            late.append(node)
            made_late.update(map(id, node.outputs))
    return late


def _run_on_cut(late, cut, graph, name) -> keras.Model:
    """Call the operations of the second part anew.

    Keras 3.15: `keras.Model(cut, outputs)` fails if an output is in the cut.
    """
    tensors = {
        key: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        for key, tensor in cut.items()
    }
    inputs = list(tensors.values())
    for node in late:
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = node.operation(*args, **kwargs)
        for old, new in zip(
            node.outputs, keras.tree.flatten(outputs), strict=True
        ):
            tensors[id(old)] = new
    outputs = keras.tree.map_structure(lambda t: tensors[id(t)], graph.output)
    return keras.Model(
        inputs if len(inputs) > 1 else inputs[0], outputs, name=name
    )
