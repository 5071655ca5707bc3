"""What a model has learned, and may forget."""

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.adapted_variables import adapted_variables
from keras_transfer.freezing.weight_movement import is_learned


def learned_weights(
    model: keras.Model,
) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """List the weights that training changes, frozen ones included.

    Statistics (of BatchNorm, or what `adapt` has set) and random states are
    no such weights.

    Args:
        model: A built Keras model.

    Returns:
        Those below the head, and those of the head: of the last layer group
        if its name is `"head"`, or else none.

    Raises:
        ValueError: If this is no model, or it has no weights.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a `keras.Model` with its weights, such as "
            f"`kt.build_classifier` makes. Received: model={model!r}"
        )
    adapted = adapted_variables(model)
    below, head = [], []
    for group in layer_groups(model):
        part = head if group.name == "head" else below
        part.extend(
            variable
            for variable in group.variables
            if is_learned(variable) and id(variable) not in adapted
        )
    return below, head
