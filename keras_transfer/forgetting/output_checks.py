"""Whether the outputs and labels of a classifier are what they should be."""

import dataclasses

import keras
import numpy as np

from keras_transfer.forgetting.likelihood import Likelihood


def check_outputs(
    model: keras.Model, x, likelihood: Likelihood
) -> tuple[Likelihood, int]:
    """Check what a classifier says.

    Args:
        model: The classifier.
        x: Inputs, a batch.
        likelihood: What its outputs are thought to mean.

    Returns:
        What they mean (a single output is never exclusive), and the number of
        outputs.

    Raises:
        ValueError: If they do not fit that.
    """
    outputs = model(x, training=False)
    if keras.tree.is_nested(outputs) or len(outputs.shape) != 2:
        shapes = keras.tree.map_structure(lambda part: part.shape, outputs)
        raise ValueError(
            "The model must have one output, `(batch, classes)`. "
            f"Received: model={model.name} with outputs of shapes {shapes}"
        )
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
    classes = outputs.shape[1]
    if classes == 1:
        likelihood = dataclasses.replace(likelihood, exclusive=False)
    if not np.isfinite(outputs).all():
        raise ValueError(
            "The outputs of the model must be finite. "
            f"Received: outputs={outputs[:1]}"
        )
    if not likelihood.from_logits:
        _check_probabilities(outputs, likelihood.exclusive)
    return likelihood, classes


def _check_probabilities(outputs, exclusive) -> None:
    lies_in_range = outputs.min() >= -1e-3 and outputs.max() <= 1.001
    if not lies_in_range:
        raise ValueError(
            "The outputs of the model must be probabilities. Pass "
            "`from_logits=True` if they are logits. "
            f"Received: outputs={outputs[:1]}"
        )
    # Half precision, and a thousand classes, leave an error of a percent.
    if exclusive and np.abs(outputs.sum(axis=1) - 1).max() > 0.05:
        raise ValueError(
            "The probabilities of classes that exclude each other must add up "
            "to 1. Pass `multi_label=True` if an example may belong to several "
            f"classes. Received: outputs={outputs[:1]}"
        )


def check_labels(labels, classes: int, likelihood: Likelihood) -> None:
    """Check the labels of a batch.

    Args:
        labels: The labels, or `None`.
        classes: How many outputs the model has.
        likelihood: What they mean.

    Raises:
        ValueError: If they are not there, or do not fit the outputs.
    """
    if labels is None or keras.tree.is_nested(labels):
        raise ValueError(
            '`labels="true"` needs `old_data` with one label an example, or '
            "one for each class. Received: old_data with the labels "
            f"{labels!r}"
        )
    labels = keras.ops.convert_to_numpy(labels)
    row = labels.shape[1:]
    is_number = likelihood.exclusive and row in ((), (1,))
    most = classes - 1 if is_number else 1
    fits = is_number or row == (classes,) or (classes == 1 and row == ())
    if not fits or labels.min() < 0 or labels.max() > most:
        expected = (
            f"numbers of classes in [0, {classes})"
            if likelihood.exclusive
            else "0 or 1"
        )
        raise ValueError(
            f"The labels of `old_data` must be {expected}, or values in "
            f"[0, 1] for each of the {classes} outputs of the model. "
            f"Received: old_data with labels of shape {labels.shape} such as "
            f"{labels[:3]}"
        )
