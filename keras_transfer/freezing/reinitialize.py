"""Forget what a model has learned."""

import keras

from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.freezing.adapted_variables import (
    adapted_variables,
    reread_adapted,
)


def reinitialize(model: keras.Model) -> None:
    """Give all weights of a model new values, as if it was just built.

    What layers such as `Normalization` were adapted to stays.

    Args:
        model: A functional or sequential model of Keras layers.

    Raises:
        ValueError: If the model cannot be built anew from its configuration
            with other values: a subclassed one, or one around a SavedModel.
    """
    for variable, new in zip(
        model.weights, untrained_copy(model).weights, strict=True
    ):
        variable.assign(new)


def untrained_copy(model: keras.Model) -> keras.Model:
    """Build a model anew, with the weights that it would start with.

    What layers such as `Normalization` were adapted to is copied.

    Args:
        model: As for `reinitialize`; it is left as it is.

    Returns:
        A model of the same class and configuration.

    Raises:
        ValueError: As `reinitialize`.
    """
    try:
        if any(isinstance(part, HubLayer) for part in model._flatten_layers()):
            raise ValueError("a SavedModel holds nothing but values")
        fresh = type(model).from_config(model.get_config())
        adapted = adapted_variables(model)
        for variable, new in zip(model.weights, fresh.weights, strict=True):
            if id(variable) in adapted:
                new.assign(variable)
        reread_adapted(fresh)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            "The weights of this model cannot be started anew, as it cannot "
            f"be rebuilt from its configuration: {error}. Build it without "
            f"pretrained weights instead. Received: model={model.name}"
        ) from error
    return fresh
