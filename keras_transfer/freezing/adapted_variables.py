"""What a model knows of its data without having learned it."""

import keras


def adapted_variables(model: keras.Model) -> set[int]:
    """Find the variables that `adapt` has set, as in `Normalization`.

    They describe the inputs; no training touches them.

    Args:
        model: A Keras model.

    Returns:
        The ids of the variables.
    """
    return {
        id(variable)
        for layer in model._flatten_layers()
        if hasattr(layer, "adapt")
        for variable in layer.variables
    }
