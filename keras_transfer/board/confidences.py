"""What a classifier's outputs say, and how sure they are."""

from collections.abc import Sequence
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
    labels = np.asarray(labels)
    chances = as_probabilities(outputs, from_logits=from_logits)
    labels = _as_numbers(labels, chances)
    if chances.shape[1] == 1:
        chance = chances[:, 0]
        predictions = (chance > 0.5).astype("int64")
        sure = np.maximum(chance, 1 - chance)
        return Guesses(labels, predictions, sure, np.abs(chance - 0.5))
    predictions = chances.argmax(axis=1)
    second, first = np.partition(chances, -2, axis=1)[:, -2:].T
    return Guesses(labels, predictions, first, first - second)


def name_guesses(
    outputs: np.ndarray,
    labels: np.ndarray,
    names: Sequence,
    *,
    from_logits: bool = False,
    multi_label: bool = False,
) -> tuple[list[str], list[str]]:
    """Name what examples are, and what a classifier takes them for.

    Args:
        outputs: As for `read_guesses`.
        labels: As for `read_guesses`; several classes may be marked for each
            example if `multi_label`.
        names: A name for each class.
        from_logits: As for `read_guesses`.
        multi_label: Whether each output is a yes or no of its own.

    Returns:
        The true and the predicted class of each example; several of them are
        separated by commas.

    Raises:
        ValueError: As `read_guesses`.
    """
    if not multi_label:
        guesses = read_guesses(outputs, labels, from_logits=from_logits)
        both = guesses.labels, guesses.predictions
        return tuple([str(names[i]) for i in numbers] for numbers in both)
    chances = as_probabilities(
        outputs, from_logits=from_logits, multi_label=True
    )
    return tuple(
        [", ".join(str(names[i]) for i in np.flatnonzero(row)) for row in rows]
        for rows in (np.asarray(labels) > 0.5, chances > 0.5)
    )


def as_probabilities(
    outputs: np.ndarray, *, from_logits: bool = False, multi_label: bool = False
) -> np.ndarray:
    """Turn what a classifier returned into probabilities.

    Args:
        outputs: As for `read_guesses`.
        from_logits: As for `read_guesses`.
        multi_label: Whether each output is a yes or no of its own.

    Returns:
        A float64 array `(examples, outputs)`, in [0, 1].

    Raises:
        ValueError: If outputs are of another shape.
    """
    outputs = np.asarray(outputs, "float64")
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or not outputs.shape[1]:
        raise ValueError(
            "Outputs must be of shape `(examples, outputs)`. "
            f"Received: outputs of shape {outputs.shape}"
        )
    # A probability may be rounded to a little more than 1.
    strays = outputs.size and (outputs.min() < 0 or outputs.max() > 1.001)
    if not (from_logits or strays):
        return np.minimum(outputs, 1)
    if multi_label or outputs.shape[1] == 1:
        return 0.5 + 0.5 * np.tanh(outputs / 2)  # which does not overflow
    outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return outputs / outputs.sum(axis=1, keepdims=True)


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
