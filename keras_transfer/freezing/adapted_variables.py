"""What a model knows of its data without having learned it."""

import keras

from keras_transfer.freezing.frozen_column import FrozenColumn


def adapted_variables(model: keras.Model) -> set[int]:
    """Find the variables that `adapt` has set, as in `Normalization`.

    They describe the inputs; no training touches them. So it is with the
    weights of a `FrozenColumn`, which are among them.

    Args:
        model: A Keras model.

    Returns:
        The ids of the variables.
    """
    return {
        id(variable)
        for layer in model._flatten_layers()
        if hasattr(layer, "adapt") or isinstance(layer, FrozenColumn)
        for variable in layer.variables
    }


def reread_adapted(model: keras.Model) -> None:
    """Let layers that `adapt` has set compute with what they hold now.

    `Normalization` keeps constants of its variables, and assigning these
    changes no answer.

    Args:
        model: A Keras model whose variables were assigned.
    """
    for layer in model._flatten_layers():
        if hasattr(layer, "adapt") and hasattr(layer, "finalize_state"):
            layer.finalize_state()
