"""Strategies that look at the data before they decide."""

import dataclasses
import functools

import keras

from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.labelled_data import restore_labels
from keras_transfer.freezing.gradient_norms import relative_gradient_norms
from keras_transfer.freezing.phase import Phase
from keras_transfer.insight.sample_examples import sample_examples
from keras_transfer.recipes.choose_depth import count_trial_steps
from keras_transfer.recipes.class_weights import weigh_batches
from keras_transfer.recipes.depth_and_rate import DepthAndRate
from keras_transfer.recipes.rate_trials import (
    USUAL_RATE,
    choose_learning_rate,
    collect_batches,
)
from keras_transfer.recipes.strategies.extraction import extraction
from keras_transfer.recipes.strategies.planned import lp_ft, need_epochs
from keras_transfer.recipes.training_data import (
    choose_epochs,
    count_steps,
    label_spec,
)

# Examples that judge trials.
_JUDGES, _BATCH_SIZE = 500, 32


def auto(
    epochs: int | None = None,
    learning_rate: float | None = None,
    *,
    model: keras.Model | None = None,
    data=None,
    validation_data=None,
    class_weight: dict[int, float] | None = None,
) -> list[Phase]:
    """Train the head, then what experience and short trials recommend.

    `lp_ft` for the usual case. How many layer groups should change, and how
    fast, depends on how much data there is and on how far the task is from the
    old one. As `kt.recommend` does, trials of 60 steps from the trained head
    are weighed against experience, which decides alone where the phase has
    less than 150 steps; where the usual rate did harm in the one that is
    chosen, lower ones are tried. With
    `fine_tune(strategy="auto")`, the default, the model ends with the weights
    that are best on the validation data of three: the head alone, those at
    the end, and the mean of the two. It is never worse there than the head
    alone.

    Args:
        epochs: Number of epochs in all, at least 2. Defaults to 30, and to
            what makes 250 steps where 30 epochs do not: from few examples,
            epochs are short.
        learning_rate: Highest rate of the second phase.
        model: The model, whose outputs tell the number of classes.
        data: Training data for the trials, a data set. Its first batches are
            read. Without it, model or validation data, everything is trained
            at 3e-4.
        validation_data: Data on which the trials are compared: up to 500
            examples of it. Where these have several classes each or none,
            everything is trained, and trials are about the rate alone.
        class_weight: Weights of classes in the trials, as in `fit`.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases.
    """
    steps = None if data is None else count_steps(data)
    epochs = choose_epochs(steps) if epochs is None else epochs
    usual = USUAL_RATE if learning_rate is None else learning_rate
    phases = lp_ft(epochs, usual, data=data)
    if any(part is None for part in (model, data, validation_data)):
        return phases
    batches = weigh_batches(collect_batches(data), class_weight)
    choices = _make_choices(
        model, batches, validation_data, steps, phases[1].epochs
    )
    if learning_rate is not None:
        choices.pop("learning_rate", None)
    phases[1] = dataclasses.replace(phases[1], **choices)
    return phases


def _make_choices(model, batches, validation_data, steps, epochs) -> dict:
    """Return what is to be chosen when the second phase begins."""
    in_phase = (steps or len(batches)) * epochs
    trial_steps = count_trial_steps(in_phase)
    try:
        x, y = sample_examples(validation_data, _JUDGES)
    except ValueError:
        choose = functools.partial(
            choose_learning_rate,
            batches=batches,
            validation_data=validation_data,
            steps=trial_steps or max(1, in_phase // 4),
        )
        return {"learning_rate": choose}
    judges = x, restore_labels(y, tuple(label_spec(validation_data).shape))
    sizes = [len(batch[1]) for batch in batches]
    count = sum(sizes) if len(sizes) == steps else sizes[0] * (steps or 1)
    choice = DepthAndRate(
        batches,
        list(batch_arrays(judges, _BATCH_SIZE)),
        steps=trial_steps,
        per_class=count / max(model.output_shape[-1], 2),
    )
    return {"train": choice.choose_depth, "learning_rate": choice.choose_rate}


def surgical(
    epochs: int = 30,
    learning_rate: float = 1e-4,
    *,
    data=None,
    groups: str | tuple[str, ...] | None = None,
    count: int = 3,
    head_learning_rate: float | None = None,
) -> list[Phase]:
    """Train the head, then it and the few groups that the task pulls at.

    Where what has changed between the old task and the new sits in one place
    (another camera: the first layers; other objects: the last), training that
    place alone keeps all else as it was. For data that differs from that of
    the source in one known way.

    Lee et al. 2022, "Surgical Fine-Tuning Improves Adaptation to Distribution
    Shifts", arXiv:2210.11466: on photos with noise and blur (CIFAR-10-C),
    training the first block alone was 3 % better than training everything.

    Args:
        epochs: Number of epochs in all, at least 2; the head gets two thirds
            of them. Defaults to 30.
        learning_rate: Highest rate of the second phase, after a warm-up; it
            then falls to 0. Defaults to 1e-4.
        data: Training data by which to choose groups when the head has been
            trained: those with the largest `relative_gradient_norms`. A data
            set, or batches of `(x, y)`. The first ones are read.
        groups: Name or names of the groups, if you know better.
        count: How many groups to choose. Defaults to 3.
        head_learning_rate: Learning rate of the first phase, as for
            `extraction`.

    Returns:
        A list of two phases.

    Raises:
        ValueError: If there are too few epochs for two phases, or neither
            groups nor data.
    """
    need_epochs(epochs, 2)
    if groups is None and data is None:
        raise ValueError(
            "Surgical fine-tuning needs `groups`, or `data` by which to choose "
            "them. Received: groups=None, data=None"
        )
    train = (groups,) if isinstance(groups, str) else groups
    train = train and (*train, "head")
    if groups is None:
        # Now: a pass in the middle of `fit` would change the order of epochs.
        batches = collect_batches(data)
        train = functools.partial(_choose_groups, data=batches, count=count)
    second = max(1, epochs // 3)
    return [
        *extraction(epochs - second, head_learning_rate, data=data),
        Phase(
            train,
            second,
            learning_rate,
            name="surgical",
            schedule="warmup_cosine",
        ),
    ]


def _choose_groups(model, data, count) -> tuple[str, ...]:
    norms = relative_gradient_norms(model, data)
    below = sorted(set(norms) - {"head"}, key=norms.get, reverse=True)
    chosen = {*below[:count], "head"}
    return tuple(name for name in norms if name in chosen)
