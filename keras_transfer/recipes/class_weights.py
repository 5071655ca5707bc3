"""Weights that let rare classes count as much as frequent ones."""

import keras
import numpy as np
from keras.src.trainers.data_adapters.data_adapter_utils import (
    class_weight_to_sample_weights,
)
from keras.src.utils import io_utils

from keras_transfer.data.labelled_batches import iterate_batches


def balanced_class_weights(data, classes: int) -> dict[int, float]:
    """Weight classes by their inverse frequency.

    As scikit-learn's `class_weight="balanced"`: with n examples of k classes,
    of which c belong to a class, that class has the weight n / (k c). The
    weights of all examples then add up to n.

    Args:
        data: A data set of batches `(x, y)`, integer or one-hot labels.
        classes: Number of classes, k.

    Returns:
        A weight for each class of which there are examples.

    Raises:
        ValueError: If examples belong to several classes, to none, or to one
            that is not there.
    """
    counts = np.zeros(classes, int)
    for _, y in iterate_batches(data):
        labels = keras.ops.convert_to_numpy(y)
        if labels.ndim > 1 and labels.shape[-1] > 1:
            if not np.all(labels.sum(axis=-1) == 1):
                raise ValueError(
                    '`class_weight="balanced"` takes one class an example. '
                    f"Received: labels like {labels[0]}"
                )
            labels = labels.argmax(axis=-1)
        labels = labels.astype(int).reshape(-1)
        if not np.all((labels >= 0) & (labels < classes)):
            raise ValueError(
                f"Classes must be in [0, {classes}). Received: labels between "
                f"{labels.min()} and {labels.max()}"
            )
        counts += np.bincount(labels, minlength=classes)
    present = np.flatnonzero(counts)
    share = counts.sum() / len(present)
    return {int(label): float(share / counts[label]) for label in present}


def choose_class_weight(
    class_weight, data, classes: int, verbose
) -> dict[int, float] | None:
    """Return the weights of classes that `fine_tune` is asked for.

    Args:
        class_weight: A dictionary, `"balanced"` or `None`.
        data: As for `balanced_class_weights`.
        classes: Number of classes.
        verbose: Whether to print balanced weights.

    Raises:
        ValueError: If it is something else, or the data has none.
    """
    if class_weight is None or isinstance(class_weight, dict):
        return class_weight
    if class_weight != "balanced":
        raise ValueError(
            '`class_weight` must be a dictionary, "balanced" or `None`. '
            f"Received: class_weight={class_weight!r}"
        )
    weights = balanced_class_weights(data, classes)
    if verbose:
        text = ", ".join(f"{label}: {w:.2f}" for label, w in weights.items())
        io_utils.print_msg(f"Class weights by inverse frequency: {text}")
    return weights


def weigh_batches(batches: list, class_weight: dict[int, float] | None) -> list:
    """Give each example the weight of its class, as `fit` does.

    Args:
        batches: List of batches `(x, y)`.
        class_weight: The weight of each class, or `None`.

    Returns:
        Batches `(x, y, sample_weight)`, or those given.

    Raises:
        ValueError: If examples have weights of their own as well.
    """
    if class_weight is None:
        return batches
    if any(len(batch) > 2 for batch in batches):
        raise ValueError(
            "Data with sample weights cannot have class weights, too: multiply "
            f"the sample weights. Received: class_weight={class_weight}"
        )
    return [
        (x, y, class_weight_to_sample_weights(y, class_weight))
        for x, y in batches
    ]
