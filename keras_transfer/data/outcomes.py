"""What a classifier got right and wrong, counted."""

import numpy as np


def count_outcomes(
    labels: np.ndarray,
    outputs: np.ndarray,
    *,
    binary_loss: bool = False,
    from_logits: bool = False,
) -> np.ndarray | None:
    """Count what a classifier got right and wrong, however it is built.

    Args:
        labels: True classes, as numbers, one-hot, or several of them marked
            for each example.
        outputs: What the model returned, `(examples, outputs)`. One output
            means two classes.
        binary_loss: Whether the model's loss takes each output on its own.
            It settles what one-hot labels leave open.
        from_logits: Whether outputs are logits rather than probabilities.
            Those not in [0, 1] are taken for logits anyway.

    Returns:
        A confusion matrix `(classes, classes)`; where an example may belong
        to several classes, one such matrix for each, `(classes, 2, 2)`, whose
        second row and column stand for the class; or `None` if these are not
        the labels and outputs of a classifier.
    """
    labels, outputs = np.asarray(labels), np.asarray(outputs)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if outputs.ndim != 2 or labels.dtype.kind not in "biuf" or not labels.size:
        return None
    classes = outputs.shape[1]
    logits = from_logits or outputs.min() < 0 or outputs.max() > 1
    chosen = outputs > (0 if logits else 0.5)
    if labels.ndim == 1:
        if not np.array_equal(labels, np.round(labels)) or labels.min() < 0:
            return None
        if classes > 1:
            return confusion_matrix(labels, outputs.argmax(axis=1), classes)
        if labels.max() > 1:
            return None
        return confusion_matrix(labels, chosen[:, 0], 2)
    if labels.shape != outputs.shape or labels.min() < 0 or labels.max() > 1:
        return None
    if sum_to_one(labels) and (not binary_loss or sum_to_one(outputs)):
        return confusion_matrix(
            labels.argmax(axis=1), outputs.argmax(axis=1), classes
        )
    return np.stack(
        [
            confusion_matrix(label > 0.5, choice, 2)
            for label, choice in zip(labels.T, chosen.T, strict=True)
        ]
    )


def sum_to_one(values: np.ndarray) -> bool:
    """Tell whether each row, of labels or of outputs, is one in all."""
    return bool(np.allclose(values.sum(axis=1), 1, atol=1e-2))


def confusion_matrix(labels, predictions, classes: int) -> np.ndarray:
    """Count how often each class was taken for each.

    Example:

    ```python
    confusion_matrix([0, 1, 1], [0, 1, 0], classes=2)
    # array([[1, 0],
    #        [1, 1]])
    ```

    Args:
        labels: Integers, the true class of each example.
        predictions: Integers, the predicted class of each example.
        classes: Number of classes.

    Returns:
        An integer array `(classes, classes)`: a row for each true class, a
        column for each predicted one.

    Raises:
        ValueError: If the lengths differ or a class is not in [0, `classes`).
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(
            "Labels and predictions must be two lists of the same length. "
            f"Received: labels of shape {labels.shape}, "
            f"predictions of shape {predictions.shape}"
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if np.any((values < 0) | (values >= classes)):
            raise ValueError(
                f"Classes must be in [0, {classes}). Received: {name} "
                f"between {values.min()} and {values.max()}"
            )
    cells = labels.astype("int64") * classes + predictions.astype("int64")
    counts = np.bincount(cells, minlength=classes**2)
    return counts.reshape(classes, classes)
