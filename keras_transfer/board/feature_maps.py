"""The feature maps of a classifier, by the layer group that makes them."""

import keras
from keras.src.models.functional import Functional

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.caching.group_outputs import find_group_outputs
from keras_transfer.caching.unrolled_graph import Step, unroll_graph


def feature_map_groups(model: keras.Model) -> tuple[str, ...]:
    """Name the layer groups that `grad_cam` can look at.

    Args:
        model: As for `grad_cam`.

    Returns:
        The names of the groups in which a feature map `(batch, height, width,
        channels)` is made, from input to output. Maps of one place, `(batch,
        1, 1, channels)`, do not count.

    Raises:
        ValueError: If the model is no image classifier, or shows no such map.
    """
    graph = find_classifier_graph(model)
    return tuple(find_feature_maps(model, unroll_graph(graph).steps))


def find_classifier_graph(model: keras.Model) -> Functional:
    """Return the graph of an image classifier.

    Raises:
        ValueError: If it is none, or has no graph.
    """
    graph = functional_graph(model)
    if graph is None:
        raise ValueError(
            "`model` must be a functional or sequential model that is built: "
            "Grad-CAM reads a tensor between its layers, which a subclassed "
            "model or a TF Hub layer does not show. Wrap Keras layers with "
            "`keras.Model(inputs, outputs)` or `kt.build_classifier`. "
            f"Received: model={model}"
        )
    inputs, outputs = (
        [tuple(tensor.shape) for tensor in tensors]
        for tensors in (graph.inputs, graph.outputs)
    )
    if [len(shape) for shape in (*inputs, *outputs)] != [4, 2]:
        raise ValueError(
            "`model` must be a classifier from one tensor `(batch, height, "
            "width, channels)` to one `(batch, classes)`. Received: "
            f"model={model} with inputs={inputs}, outputs={outputs}"
        )
    return graph


def find_feature_maps(model: keras.Model, steps: list[Step]) -> dict:
    """Find the last feature map that is made in each layer group.

    Args:
        model: A model with a graph.
        steps: The steps of its unrolled graph.

    Returns:
        A dictionary from names of groups, as `feature_map_groups` gives them,
        to keys of tensors.

    Raises:
        ValueError: If there are none.
    """
    last = find_group_outputs(model, steps, _is_map)
    if not last:
        raise ValueError(
            "`model` must make a feature map `(batch, height, width, "
            "channels)` in one of its layers. A layer that goes from images "
            "to vectors, such as a TF Hub module, shows none: take a backbone "
            f"made of Keras layers. Received: model={model}"
        )
    return last


def _is_map(shape) -> bool:
    return len(shape) == 4 and tuple(shape[1:3]) != (1, 1)
