"""Heads that a logistic regression can be written into."""

import keras
import numpy as np

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.caching.unrolled_graph import unroll_graph


def find_linear_head(model: keras.Model) -> tuple[keras.layers.Dense, bool]:
    """Find the layer that is all there is to train in a head.

    Args:
        model: A compiled model.

    Returns:
        The layer, and whether its classes exclude each other (softmax).

    Raises:
        ValueError: If there is no such layer, or its outputs are not those of
            a classifier.
    """
    head = layer_groups(model)[-1]
    beside = getattr(model, "layers_beside_head", ())
    trained = {
        layer
        for outer in head.layers
        if outer not in beside
        for layer in outer._flatten_layers()
        if layer._trainable_variables
        and not isinstance(layer, keras.layers.BatchNormalization)
    }
    graph = functional_graph(model)
    steps = unroll_graph(graph).steps if graph else []
    positions = [n for n, step in enumerate(steps) if step.operation in trained]
    if len(trained) != 1 or len(positions) != 1:
        _refuse(head)
    [dense], [position] = trained, positions
    later = [step.operation for step in steps[position + 1 :]]
    if (
        type(dense) is not keras.layers.Dense
        or len(dense._trainable_variables) != 2  # no bias, or LoRA
        or any(v.constraint for v in dense._trainable_variables)
        or len(steps[position].tensors[0].shape) != 2
        or not all(isinstance(op, keras.layers.Activation) for op in later)
    ):
        _refuse(head)
    activations = {layer.activation for layer in (dense, *later)}
    activations.discard(keras.activations.linear)
    if activations == {keras.activations.softmax}:
        return dense, True
    if activations == {keras.activations.sigmoid}:
        return dense, False
    return dense, _are_exclusive_logits(model.loss, activations)


def _refuse(head) -> None:
    layers = [layer.name for layer in head.layers]
    raise ValueError(
        "A solver needs a head in which one layer alone trains, a `Dense` with "
        "a bias and no constraints, and nothing but activations comes after "
        "it, such as `build_classifier` makes with `head=None`. Train this "
        f"one by steps. Received: solver='lbfgs', and the head {layers}"
    )


def _are_exclusive_logits(loss, activations: set) -> bool:
    """Tell from the loss what logits mean."""
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__).lower()
    if not activations and getattr(loss, "from_logits", False):
        if "categorical" in name or "binary" in name:
            return "categorical" in name
    raise ValueError(
        "A solver needs outputs that are probabilities, by a softmax or "
        "sigmoids, or logits for a crossentropy with `from_logits=True`. "
        f"Received: solver='lbfgs', loss={name}, and the activations "
        f"{[activation.__name__ for activation in activations]}"
    )


def mark_classes(
    labels: np.ndarray, classes: int, exclusive: bool
) -> np.ndarray:
    """Turn labels into an array `(examples, classes)` of 0 and 1.

    Args:
        labels: Numbers of classes, or such an array; with one class, whether
            an example belongs to it.
        classes: Number of classes.
        exclusive: Whether an example belongs to one class, neither to several
            nor to none.

    Raises:
        ValueError: If the labels are something else.
    """
    marked = labels
    if exclusive and labels.size == len(labels):
        marked = labels.reshape(-1, 1) == np.arange(classes)
    elif classes == 1:
        marked = labels.reshape(len(labels), -1)
    is_right = marked.shape == (len(labels), classes) and (
        np.isin(marked, (0, 1)).all()
        and (not exclusive or (marked.sum(axis=1) == 1).all())
    )
    if not is_right:
        kind = "the number of one class" if exclusive else "0 or 1"
        raise ValueError(
            f"Labels must say {kind}, or 0 or 1 for each of the {classes} "
            f"classes. Received: labels like {labels[:3]}"
        )
    return marked.astype("int8")
