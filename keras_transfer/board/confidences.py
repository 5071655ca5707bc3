"""What a classifier's outputs say, and how sure they are."""

from typing import NamedTuple

import numpy as np


class Guesses(NamedTuple):
    """One guess for each example, an array each."""

    labels: np.ndarray
    predictions: np.ndarray
    confidences: np.ndarray
    margins: np.ndarray

    @property
    def is_right(self) -> np.ndarray:
        """Whether each prediction is the true class."""
        return self.labels == self.predictions


def read_guesses(
    outputs: np.ndarray, labels: np.ndarray, *, from_logits: bool = False
) -> Guesses:
    """Read off what a classifier guesses, and how sure it is.

    Example:

    ```python
    read_guesses([[0.7, 0.2, 0.1]], [1])
    # Guesses(labels=[1], predictions=[0], confidences=[0.7], margins=[0.5])
    ```

    Args:
        outputs: What the model returned, `(examples, outputs)`. One output
            means two classes.
        labels: The true class of each example, as numbers or one-hot.
        from_logits: Whether outputs are logits rather than probabilities.
            Those not in [0, 1] are taken for logits anyway.

    Returns:
        A named tuple of arrays: `labels` and `predictions` (integers),
        `confidences` (the probability of the predicted class) and `margins`
        (by how much it is ahead of the next one; with one output, how far
        this is from 0.5).

    Raises:
        ValueError: If these are not the outputs and labels of a classifier
            with one true class for each example.
    """
    outputs, labels = np.asarray(outputs, "float64"), np.asarray(labels)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or not outputs.shape[1]:
        raise ValueError(
            "Outputs must be of shape `(examples, outputs)`. "
            f"Received: outputs of shape {outputs.shape}"
        )
    labels = _as_numbers(labels, outputs)
    # A probability may be rounded to a little more than 1.
    if outputs.size and (outputs.min() < 0 or outputs.max() > 1.001):
        from_logits = True
    elif not from_logits:
        outputs = np.minimum(outputs, 1)
    if outputs.shape[1] == 1:
        output = outputs[:, 0]
        predictions = (output > (0 if from_logits else 0.5)).astype("int64")
        # `tanh` does not overflow.
        chance = 0.5 + 0.5 * np.tanh(output / 2) if from_logits else output
        sure = np.maximum(chance, 1 - chance)
        return Guesses(labels, predictions, sure, np.abs(chance - 0.5))
    predictions = outputs.argmax(axis=1)
    if from_logits:
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    second, first = np.partition(outputs, -2, axis=1)[:, -2:].T
    return Guesses(labels, predictions, first, first - second)


def _as_numbers(labels, outputs) -> np.ndarray:
    examples, classes = outputs.shape
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape == outputs.shape and classes > 1:
        if np.allclose(labels.sum(axis=1), 1, atol=1e-2):
            return labels.argmax(axis=1)
    elif labels.shape == (examples,) and labels.dtype.kind in "biuf":
        numbers = labels.astype("int64")
        known = (numbers >= 0) & (numbers < max(classes, 2))
        if np.all(known & (numbers == labels)):
            return numbers
    raise ValueError(
        "Labels must name one class for each of the outputs of shape "
        f"{outputs.shape}. Received: labels={labels!r}"
    )
