"""Which loss and metrics a classifier is trained with."""

import keras

from keras_transfer.builders.multitask_model import MultitaskModel


def compile_arguments(model: keras.Model, labels) -> dict:
    """Choose what to compile a model with, besides the optimizer.

    Args:
        model: A Keras model. If it is compiled, its own loss, metrics and
            settings are kept.
        labels: Element spec of the labels, `(batch,)`, `(batch, 1)` or
            `(batch, classes)`.

    Returns:
        Arguments for `model.compile`.

    Raises:
        ValueError: If the model is not compiled and ends in neither a softmax
            nor a sigmoid.
    """
    if model.compiled:
        kept = dict(model._compile_config.config)
        kept.pop("optimizer")
        return kept
    if isinstance(model, MultitaskModel):
        return {}  # It knows what its tasks call for.
    activation = getattr(model.layers[-1], "activation", None)
    if activation is keras.activations.sigmoid:
        # By the name alone, Keras would take several sigmoids for a softmax.
        metric = keras.metrics.BinaryAccuracy(name="accuracy")
        return {"loss": "binary_crossentropy", "metrics": [metric]}
    if activation is keras.activations.softmax:
        one_hot = len(labels.shape) > 1 and labels.shape[-1] != 1
        loss = f"{'' if one_hot else 'sparse_'}categorical_crossentropy"
        return {"loss": loss, "metrics": ["accuracy"]}
    raise ValueError(
        "The loss cannot be told from the model's last layer, which has "
        "neither a softmax nor a sigmoid activation. Compile the model "
        "with a loss first (any optimizer; it is replaced). "
        f"Received: model={model.name}, last layer={model.layers[-1].name}"
    )
