"""Weights that let rare classes count as much as frequent ones."""

import keras
import numpy as np

from keras_transfer.board.answers import iterate_batches


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
        ValueError: If examples belong to several classes, or to none.
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
        counts += np.bincount(labels.astype(int).reshape(-1), minlength=classes)
    present = np.flatnonzero(counts)
    share = counts.sum() / len(present)
    return {int(label): float(share / counts[label]) for label in present}
