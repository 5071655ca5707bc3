"""What each layer group makes of some examples."""

from collections.abc import Callable

import keras
import numpy as np

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.caching.group_outputs import find_group_outputs
from keras_transfer.caching.unrolled_graph import run_steps, unroll_graph
from keras_transfer.freezing.quiet_function import quiet_function


def make_group_features(model: keras.Model) -> Callable:
    """Make a function that computes the features of each layer group.

    Args:
        model: A functional or sequential model; it is left as it is.

    Returns:
        A function from a batch of inputs to a dictionary from names of groups
        to float32 arrays `(batch, features)`: the last tensor that is made in
        the group, averaged over all but its first and last axis, in inference
        mode and with the weights of the moment.

    Raises:
        ValueError: If the model has no graph.
    """
    graph = functional_graph(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional or sequential model: others do not "
            f"show what their layers make. Received: model={model}"
        )
    unrolled = unroll_graph(graph)
    wanted = find_group_outputs(
        model, unrolled.steps, lambda shape: len(shape) > 1
    )

    @quiet_function
    def compute(x):
        flat = keras.tree.flatten(graph._standardize_inputs(x))
        values = dict(zip(unrolled.inputs, flat, strict=True))
        run_steps(unrolled.steps, values, lambda operation: False)
        return {name: _pool(values[key]) for name, key in wanted.items()}

    def describe(x):
        return {
            name: np.asarray(features) for name, features in compute(x).items()
        }

    return describe


def _pool(tensor):
    tensor = keras.ops.cast(tensor, "float32")
    middle = tuple(range(1, len(tensor.shape) - 1))
    return keras.ops.mean(tensor, axis=middle) if middle else tensor
