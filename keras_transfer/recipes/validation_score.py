"""How good a classifier is, in numbers that can be compared."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from keras_transfer.board.confidences import as_probabilities, read_guesses
from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.caching.answers import (
    collect_answers,
    count_answers,
    gives_logits,
    tally_answers,
)


class Score(NamedTuple):
    """What a classifier is worth on some data; more is better, field by field.

    Attributes:
        accuracy: As `accuracy_of`.
        minus_loss: The loss it was compiled with, negative; without penalties
            on weights.
        examples: Number of examples.
    """

    accuracy: float
    minus_loss: float
    examples: int

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy: how much of it may be luck."""
        # Never 0: an example more would have been possible to get wrong.
        share = (self.accuracy * self.examples + 0.5) / (self.examples + 1)
        return float(np.sqrt(share * (1 - share) / self.examples))


def score_answers(
    model: keras.Model, data, predict: Callable | None = None
) -> Score | None:
    """Score a classifier, weights as they are.

    Args:
        model: A compiled Keras model.
        data: As for `iterate_batches`.
        predict: From `make_predict(model)`, to make it once for many calls.

    Returns:
        A `Score`, or `None` if this is no classifier.
    """
    answers = collect_answers(model, data, predict).get("")
    outcomes = None if answers is None else tally_answers(model, *answers)
    if outcomes is None:
        return None
    labels, outputs = answers
    minus_loss = -float(model._compile_loss(labels, outputs))
    return Score(accuracy_of(outcomes), minus_loss, len(labels))


def accuracy_of(outcomes: np.ndarray | None) -> float:
    """Compute the share of right answers; of right labels where several are.

    Args:
        outcomes: From `count_answers`.

    Returns:
        The accuracy in [0, 1], or NaN for `None`.
    """
    if outcomes is None:
        return float("nan")
    return float(np.trace(outcomes, axis1=-2, axis2=-1).sum() / outcomes.sum())


def judge_examples(
    model: keras.Model, data, predict: Callable | None = None
) -> np.ndarray | None:
    """Tell how far each example is answered rightly, weights as they are.

    Args:
        model: A compiled Keras model.
        data: As for `iterate_batches`.
        predict: From `make_predict(model)`, to make it once for many calls.

    Returns:
        A float array `(examples,)` in [0, 1], of shares of right labels where
        examples have several; `None` if this is no classifier.
    """
    answers = collect_answers(model, data, predict).get("")
    outcomes = None if answers is None else tally_answers(model, *answers)
    if outcomes is None:
        return None
    labels, outputs = answers
    logits = gives_logits(model)
    if outcomes.ndim == 2:
        guesses = read_guesses(outputs, labels, from_logits=logits)
        return guesses.is_right.astype("float64")
    chances = as_probabilities(outputs, from_logits=logits, multi_label=True)
    return ((chances > 0.5) == (labels > 0.5)).mean(axis=1)


def make_measure(
    model: keras.Model, data, predict: Callable
) -> Callable[[], float]:
    """Make a function that returns the accuracy of a model as it then is.

    Args:
        model: The model.
        data: Labelled data.
        predict: From `make_predict`.

    Returns:
        A function without arguments. It returns NaN where there is no
        accuracy, or there are several.
    """

    def measure():
        if isinstance(model, MultitaskModel):
            return float("nan")
        return accuracy_of(count_answers(model, data, predict))

    return measure
