"""One number that makes probabilities honest."""

import numpy as np

from keras_transfer.board.reliability_diagram import (
    expected_calibration_error,
)

_LOWEST, _HIGHEST = 0.05, 20.0
_FOLDS = 5
_TINY = 1e-30  # of a probability that float32 has rounded to 0


def fit_temperature(
    logits: np.ndarray, marks: np.ndarray, *, exclusive: bool
) -> float:
    """Find the temperature at which true classes are most likely.

    Logits are divided by it: above 1, a model was too sure of itself. What it
    takes for most probable stays the same (Guo et al. 2017, "On Calibration
    of Modern Neural Networks", arXiv:1706.04599).

    Args:
        logits: Array `(examples, classes)`.
        marks: 1 for the class of an example and 0 for others, of the same
            shape.
        exclusive: Whether an example has one class (softmax), or each class
            is a question of its own (sigmoid).

    Returns:
        A temperature in [0.05, 20].
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: negative_log_likelihood(
            logits / np.exp(log), marks, exclusive=exclusive
        ),
        bounds=np.log([_LOWEST, _HIGHEST]),
        method="bounded",
    )
    return float(np.exp(found.x))


def negative_log_likelihood(
    logits: np.ndarray, marks: np.ndarray, *, exclusive: bool
) -> float:
    """Compute the mean crossentropy, as for `fit_temperature`."""
    if exclusive:
        highest = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
        return float((log_sum - (logits * marks).sum(axis=1)).mean())
    return float((np.logaddexp(0, logits) - logits * marks).mean())


def apply_temperature(
    logits: np.ndarray, temperature, *, exclusive: bool
) -> np.ndarray:
    """Compute probabilities at a temperature, as for `fit_temperature`."""
    logits = logits / temperature
    if exclusive:
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        return chances / chances.sum(axis=1, keepdims=True)
    return np.exp(-np.logaddexp(0, -logits))


def find_logits(probabilities: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Go back from probabilities to logits, up to what softmax ignores."""
    chances = np.asarray(probabilities, "float64")
    log = np.log(np.maximum(chances, _TINY))
    if exclusive:
        return log
    # In float32, what is nearest to 1 is 6e-8 below it.
    return log - np.log(np.maximum(1 - chances, 3e-8))


def held_out_temperatures(
    logits: np.ndarray, marks: np.ndarray, *, exclusive: bool
) -> np.ndarray:
    """Fit a temperature for each example on others, in five folds.

    Returns:
        Array `(examples, 1)`.
    """
    # The data may be sorted by class: every fifth example is a fold.
    fold = np.arange(len(logits)) % min(_FOLDS, len(logits))
    found = np.empty((len(logits), 1))
    for number in np.unique(fold):
        rest = fold != number
        some = (logits[rest], marks[rest]) if rest.any() else (logits, marks)
        found[~rest] = fit_temperature(*some, exclusive=exclusive)
    return found


def calibration_error(
    probabilities: np.ndarray, marks: np.ndarray, *, exclusive: bool
) -> float:
    """Compute the expected calibration error of what is answered.

    Args:
        probabilities: Array `(examples, classes)`.
        marks: As for `fit_temperature`.
        exclusive: Whether the most probable class of each example is meant,
            or the more probable answer about each class.

    Returns:
        As `expected_calibration_error`.
    """
    if exclusive:
        guesses = probabilities.argmax(axis=1)
        is_right = np.take_along_axis(marks, guesses[:, None], axis=1)[:, 0]
        return expected_calibration_error(
            probabilities.max(axis=1), is_right > 0
        )
    is_right = (probabilities > 0.5) == (marks > 0)
    sure = np.maximum(probabilities, 1 - probabilities)
    return expected_calibration_error(sure.ravel(), is_right.ravel())
