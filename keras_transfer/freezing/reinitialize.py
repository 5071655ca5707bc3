"""Forget what a model has learned."""

import keras

from keras_transfer.backbones.hub_layer import HubLayer


def reinitialize(model: keras.Model) -> None:
    """Give all weights of a model new values, as if it was just built.

    Args:
        model: A functional or sequential model of Keras layers.

    Raises:
        ValueError: If the model cannot be built anew from its configuration
            with other values: a subclassed one, or one around a SavedModel.
    """
    try:
        if any(isinstance(part, HubLayer) for part in model._flatten_layers()):
            raise ValueError("a SavedModel holds nothing but values")
        fresh = type(model).from_config(model.get_config())
        model.set_weights(fresh.get_weights())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            "The weights of this model cannot be started anew, as it cannot "
            f"be rebuilt from its configuration: {error}. Build it without "
            f"pretrained weights instead. Received: model={model.name}"
        ) from error
