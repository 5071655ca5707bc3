"""What each layer group of a model makes."""

from collections.abc import Callable

import keras

from keras_transfer.backbones.graph import transforms
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.caching.unrolled_graph import Step


def find_group_outputs(
    model: keras.Model, steps: list[Step], is_wanted: Callable[[tuple], bool]
) -> dict:
    """Find the last tensor that is made in each layer group.

    Args:
        model: A model with a graph.
        steps: The steps of its unrolled graph.
        is_wanted: Tells from the shape of a tensor whether it counts.

    Returns:
        A dictionary from names of groups, from input to output, to keys of
        tensors, of groups that make one that counts.
    """
    groups = layer_groups(model)
    numbers = {
        layer: number
        for number, group in enumerate(groups)
        for holder in group.layers
        for layer in holder._flatten_layers()
    }
    # Where each tensor behind the first weights is made. What is in no group
    # (`x + y`), or is used once more, belongs to where its inputs are made.
    made_in, last = {}, {}
    for step in steps:
        operation = step.operation
        sources = [made_in[k] for k in step.reads.values() if k in made_in]
        if not sources and not transforms(operation):
            continue
        is_layer = isinstance(operation, keras.layers.Layer)
        layers = operation._flatten_layers() if is_layer else ()
        number = max([0, *sources, *(numbers.get(x, 0) for x in layers)])
        for key, tensor in zip(step.writes, step.tensors, strict=True):
            made_in[key] = number
            # The entrance of a nested model only passes a tensor on.
            if operation is not None and is_wanted(tensor.shape):
                last[number] = key
    return {groups[number].name: last[number] for number in sorted(last)}
