"""What training deeper is expected to bring, before and after a trial."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# From `benchmarks/insight_grid.py`. Of the errors that a head makes on frozen
# features, training everything took away 0 to 20 % on drawings and 44 to 70 %
# on digits: the more, the less they are like what the source was. With 5 of a
# class it did harm where the source was the same in another style.
_USUAL_SHARE, _PER_DISTANCE, _USUAL_DISTANCE = 0.15, 1.5, 0.72
_HALF_OF_IT = 10  # examples of a class, with which it is half of what it can be
# Standard deviations, as shares of the errors: of tasks, for all depths
# alike, and of each depth beside that.
_OF_TASKS, _OF_DEPTHS = 0.12, 0.02
# A trial brings a part of what a whole training does.
_PART = 0.7


class Gains(NamedTuple):
    """Gains in accuracy that are known with errors.

    Attributes:
        mean: The gains, an array `(choices,)`.
        covariance: Of their errors, `(choices, choices)`.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard errors `(choices,)`."""
        return np.sqrt(self.covariance.diagonal())


def expect_gains(
    depths: Sequence[float],
    errors: float,
    per_class: float,
    distance: float | None,
) -> Gains:
    """Say by experience what training some layer groups brings.

    With little data, or a task like that of the source, it is little; with
    much, or from elsewhere, it is much. The first groups below the head bring
    the most: it goes with the square root of the depth.

    Args:
        depths: The share of the layer groups below the head that train, for
            each choice, more than 0 and at most 1.
        errors: The share of examples that the head alone answers wrongly.
        per_class: Training examples of a class, on average.
        distance: From `distance_beside_noise`; `None` where it is not known.

    Returns:
        The gains in accuracy over the head alone.
    """
    root = np.sqrt(np.asarray(depths, "float64"))
    beyond = 0.0 if distance is None else distance - _USUAL_DISTANCE
    share = _USUAL_SHARE + _PER_DISTANCE * beyond
    share *= 1.45 * per_class / (per_class + _HALF_OF_IT)
    # Where all is right already, one more example could still be wrong.
    errors = max(errors, 0.01)
    covariance = np.outer(root, root) * _OF_TASKS**2
    covariance += np.eye(len(root)) * _OF_DEPTHS**2
    return Gains(errors * share * root, errors**2 * covariance)


def measure_gains(right: np.ndarray, head: np.ndarray) -> Gains:
    """Estimate the gains of whole trainings from those of short ones.

    Args:
        right: How far each example was answered rightly after each training,
            in [0, 1], an array `(choices, examples)`.
        head: The same of the head alone, `(examples,)`.

    Returns:
        The gains, with the errors that paired answers have.
    """
    gains = (right - head) / _PART
    count = len(head)
    mean = gains.mean(axis=1)
    away = gains - mean[:, None]
    # An example more could have been answered otherwise.
    ridge = np.eye(len(gains)) / _PART**2
    return Gains(mean, (away @ away.T + ridge) / count**2)


def combine_gains(prior: Gains, measured: Gains) -> Gains:
    """Weigh experience and measurement by what is known of their errors.

    The posterior of two normal distributions: where one choice does better
    than experience says, the others are expected to, as well.
    """
    total = prior.covariance + measured.covariance
    weight = np.linalg.solve(total, prior.covariance).T
    mean = prior.mean + weight @ (measured.mean - prior.mean)
    return Gains(mean, prior.covariance - weight @ prior.covariance)
