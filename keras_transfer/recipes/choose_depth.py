"""Choose how many layer groups to train, by experience and short trials."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer.insight.expected_gain import (
    Gains,
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
TRIAL_STEPS = 60
_WORTH_TRIALS = 150  # steps of a training


@dataclasses.dataclass(frozen=True)
class DepthOption:
    """What to expect of training some layer groups.

    Gains are tuples of the gain in accuracy over the head alone, and its
    standard error.

    Attributes:
        train: What trains, as for `set_trainable`.
        groups: Number of layer groups below the head that train.
        prior: The gain by experience.
        trial: The gain according to a short training; `None` for the head,
            and without trials.
        expected: The gain by both.
        seconds: How long a step takes; 0 for the head, `None` without trials.
    """

    train: str
    groups: int
    prior: tuple[float, float] = (0.0, 0.0)
    trial: tuple[float, float] | None = None
    expected: tuple[float, float] = (0.0, 0.0)
    seconds: float | None = 0.0


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
        steps: Length of a trial; 0 to go by experience alone.
        per_class: Training examples of a class.
        distance: As for `expect_gains`.

    Returns:
        The options, from the least to the most; and how far the head alone
        answers each validation example rightly.

    Raises:
        ValueError: If the model has no head, or is no classifier.
    """
    depths = list_depths(model)
    head, *trials = try_depths(
        model,
        list(depths) if steps else ["head"],
        batches=batches,
        validation_data=validation_data,
        steps=steps,
        learning_rate=USUAL_RATE,
    )
    names = [name for name, groups in depths.items() if groups]
    prior = expected = expect_gains(
        [depths[name] / depths["all"] for name in names],
        1 - head.right.mean(),
        per_class,
        distance,
    )
    measured = seconds = [None] * len(names)
    if trials:
        rights = np.stack([trial.right for trial in trials])
        gains = measure_gains(rights, head.right)
        expected = combine_gains(prior, gains)
        measured = _list(gains)
        seconds = [trial.seconds for trial in trials]
    options = [DepthOption("head", 0)]
    for name, *known in zip(
        names, _list(prior), measured, _list(expected), seconds, strict=True
    ):
        options.append(DepthOption(name, depths[name], *known))
    return options, head.right


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
    possible = [
        option
        for option in options
        if not option.groups
        or most_seconds is None
        or option.seconds <= most_seconds
    ]
    best = max(option.expected[0] for option in possible)
    return next(o for o in possible if o.expected[0] >= best - _HARDLY)


def count_trial_steps(steps: int | None) -> int:
    """Return how long trials last for a training of so many steps.

    Args:
        steps: Length of the training, where known.

    Returns:
        60; or 0 where the training is hardly longer, and trials would take
        more than they bring.
    """
    return 0 if steps and steps < _WORTH_TRIALS else TRIAL_STEPS


def needs_lower_rate(option: DepthOption) -> bool:
    """Tell whether the usual rate did harm in a trial."""
    return option.trial is not None and option.trial[0] < 0


def _list(gains: Gains) -> list[tuple[float, float]]:
    return list(zip(gains.mean.tolist(), gains.error.tolist(), strict=True))
