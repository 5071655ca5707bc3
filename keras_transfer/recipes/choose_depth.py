"""Choose how many layer groups to train, by experience and short trials."""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer.insight.expected_gain import (
    combine_gains,
    expect_gains,
    measure_gains,
)
from keras_transfer.recipes.depth_trials import list_depths, try_depths
from keras_transfer.recipes.rate_trials import USUAL_RATE

# What is cheaper is taken where it is hardly worse.
_HARDLY = 0.005
# After 30 steps, a model is often worse than with the head that it started
# from, however much better it becomes.
_MOST_STEPS = 60


@dataclasses.dataclass(frozen=True)
class DepthOption:
    """What to expect of training some layer groups.

    Gains are tuples of the gain in accuracy over the head alone, and its
    standard error.

    Attributes:
        train: What trains, as for `set_trainable`.
        groups: Number of layer groups below the head that train.
        prior: The gain by experience.
        trial: The gain according to a short training; `None` for the head.
        expected: The gain by both.
        seconds: How long a step takes; 0 for the head.
    """

    train: str
    groups: int
    prior: tuple[float, float] = (0.0, 0.0)
    trial: tuple[float, float] | None = None
    expected: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0


def weigh_depths(
    model: keras.Model,
    *,
    batches: Sequence,
    validation_data: Sequence,
    steps: int,
    per_class: float,
    distance: float | None,
) -> tuple[list[DepthOption], np.ndarray]:
    """Estimate what training more or fewer layer groups brings.

    Args:
        model: A compiled classifier, its head trained; it is left so.
        batches: Batches of training data for trials.
        validation_data: Batches of data on which trials are judged.
        steps: Length of a trial.
        per_class: Training examples of a class.
        distance: As for `expect_gains`.

    Returns:
        The options, from the least to the most; and how far the head alone
        answers each validation example rightly.

    Raises:
        ValueError: If the model has no head, or is no classifier.
    """
    depths = list_depths(model)
    head, *others = try_depths(
        model,
        list(depths),
        batches=batches,
        validation_data=validation_data,
        steps=steps,
        learning_rate=USUAL_RATE,
    )
    groups = [depths[trial.train] for trial in others]
    prior = expect_gains(
        [count / depths["all"] for count in groups],
        1 - head.right.mean(),
        per_class,
        distance,
    )
    measured = measure_gains(np.stack([t.right for t in others]), head.right)
    estimates = [
        list(zip(gains.mean.tolist(), gains.error.tolist(), strict=True))
        for gains in (prior, measured, combine_gains(prior, measured))
    ]
    options = [
        DepthOption(trial.train, count, *three, trial.seconds)
        for trial, count, *three in zip(others, groups, *estimates, strict=True)
    ]
    return [DepthOption("head", 0), *options], head.right


def choose_option(
    options: Sequence[DepthOption], most_seconds: float | None = None
) -> DepthOption:
    """Choose the best option, or a cheaper one that is hardly worse.

    Args:
        options: From the cheapest to the dearest.
        most_seconds: What a step may take. Defaults to no limit.

    Returns:
        The first option whose expected gain is within half a point of the
        best of those within the limit. The head alone always is.
    """
    limit = math.inf if most_seconds is None else most_seconds
    possible = [o for o in options if not o.groups or o.seconds <= limit]
    best = max(option.expected[0] for option in possible)
    return next(o for o in possible if o.expected[0] >= best - _HARDLY)


def count_trial_steps(steps: int) -> int:
    """Return how long trials last for a training of so many steps."""
    return min(_MOST_STEPS, max(1, steps // 4))


def needs_lower_rate(option: DepthOption) -> bool:
    """Tell whether the usual rate did harm in a trial."""
    return option.trial is not None and option.trial[0] < 0
