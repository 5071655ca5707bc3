"""Which layer groups to train, before anything is trained."""

import contextlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras.src.utils import io_utils

from keras_transfer.board.fetch_examples import count_examples
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import without_epoch
from keras_transfer.data.labelled_data import read_data, restore_labels
from keras_transfer.freezing.gradient_norms import relative_gradient_norms
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.freezing.trainable_state import restore_trainable
from keras_transfer.insight.recommendation import Evidence, Recommendation
from keras_transfer.insight.sample_examples import sample_examples
from keras_transfer.insight.shallow_answers import make_folds
from keras_transfer.insight.source_distance import distance_beside_noise
from keras_transfer.optimizers.trial import trial
from keras_transfer.recipes import strategies
from keras_transfer.recipes.choose_depth import (
    TRIAL_STEPS,
    choose_option,
    needs_lower_rate,
    weigh_depths,
)
from keras_transfer.recipes.depth_trials import (
    Inputs,
    compute_inputs,
    cut_at,
)
from keras_transfer.recipes.head_rate import choose_head_rate
from keras_transfer.recipes.objective import compile_arguments
from keras_transfer.recipes.rate_trials import (
    USUAL_RATE,
    choose_learning_rate,
)
from keras_transfer.recipes.training_data import (
    check_fit,
    choose_batch_size,
    choose_epochs,
    count_steps,
    label_spec,
)

_TO_TRAIN, _TO_JUDGE = 512, 500  # examples
_HEAD_STEPS = 300
_GRADIENT_BATCHES = 8


def recommend(
    model: keras.Model,
    data,
    validation_data=None,
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> Recommendation:
    """Say how many layer groups to train, and with which strategy.

    The rules of thumb say: with little data, or a task like that of the
    source, train few groups; with much, or from elsewhere, train many. They
    are the start, as measured in `benchmarks/insight_grid.py`. Then a head is
    trained on frozen features, and from it the head alone and an eighth, a
    quarter, half and all of the groups below it train for a few steps each,
    what is frozen computed once. Both estimates of the gain are weighed by
    their variances; of what is within half a point of the best, the cheapest
    is recommended.

    `fine_tune(strategy="auto")` chooses in the same way, after its own head.

    Example:

    ```python
    recommendation = kt.recommend(model, train, validation)
    print(recommendation)
    kt.fine_tune(model, train, validation, strategy=recommendation.phases)
    ```

    Args:
        model: A classifier with a head, its backbone as its source left it.
            Nothing of it has changed afterwards.
        data: Training data with one class for each example: a
            `tf.data.Dataset` or `keras.utils.PyDataset` of batches `(x, y)`,
            a tuple of arrays, or the pair of data sets that
            `load_image_folder` returns. Of it, 512 examples are looked at.
        validation_data: The same, but no pair; 500 examples judge the trials.
            Without it, a fifth of those to train on does.
        epochs: Number of epochs to train, 2 or more. Defaults to 30, and to
            what makes 250 steps where 30 epochs do not.
        seconds: How long the layers below the head may train, on this machine
            as it is now. Defaults to no limit.
        seed: Seed of which examples are looked at. Defaults to 0.
        verbose: Whether to say what is being done.

    Returns:
        A `Recommendation`: `.train`, `.learning_rate`, `.strategy`,
        `.phases`, `.rows`, `.evidence`, and the reasons when it is printed.

    Raises:
        ValueError: If an argument is not as described, the model has no head,
            or data and model do not fit together.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(
            f"`seconds` must be more than 0. Received: seconds={seconds!r}"
        )
    looked = _look_at(data, validation_data, seed)
    check_fit(model, looked.train)
    _check_classes(model, looked.labels)
    steps_each = math.ceil(looked.count / looked.batch_size)
    epochs = choose_epochs(steps_each) if epochs is None else epochs
    phases = strategies.lp_ft(epochs)
    steps = steps_each * phases[-1].epochs
    images = Inputs(None, list(looked.train), list(looked.validation))
    classes = np.unique(looked.labels, return_counts=True)[1]

    def say(what):
        if verbose:
            io_utils.print_msg(what)

    with _borrow(model, looked.train):
        say(f"Training a head on {len(looked.labels):,} examples ...")
        head_rate = _train_head(model, images)
        distance = distance_beside_noise(model, looked.some)
        gradients = relative_gradient_norms(
            model, images.train[:_GRADIENT_BATCHES]
        )
        say("Trying what may train below it ...")
        options, head = weigh_depths(
            model,
            batches=images.train,
            validation_data=images.validation,
            steps=TRIAL_STEPS,
            per_class=looked.count / len(classes),
            distance=distance,
        )
        most = None if seconds is None else seconds / steps
        chosen = choose_option(options, most)
        rate = USUAL_RATE if chosen.groups else head_rate
        if needs_lower_rate(chosen):
            rate = _try_rates(model, chosen.train, images)
    if chosen.groups:
        name = "lp_ft"
        phases = strategies.lp_ft(
            epochs, rate, train=chosen.train, head_learning_rate=head_rate
        )
    else:
        name, phases = "extraction", strategies.extraction(epochs, rate)
    return Recommendation(
        train=chosen.train,
        groups=chosen.groups,
        groups_in_all=options[-1].groups,
        learning_rate=rate,
        strategy=name,
        phases=phases,
        seconds=steps * chosen.seconds,
        rows=[
            {
                **vars(option),
                "possible": most is None or option.seconds <= most,
            }
            for option in options
        ],
        evidence=Evidence(
            examples=looked.count,
            classes=len(classes),
            most_frequent=float(classes.max() / classes.sum()),
            head_accuracy=float(head.mean()),
            judged_on=len(head),
            distance=distance,
            gradients=gradients,
            steps=TRIAL_STEPS,
        ),
    )


class _Looked(NamedTuple):
    """What is looked at of some data.

    Attributes:
        train: Batches to train on in trials.
        validation: Batches to judge trials.
        labels: The classes of the former.
        some: A few inputs.
        count: How many training examples there are.
        batch_size: Of the training.
    """

    train: tf.data.Dataset
    validation: tf.data.Dataset
    labels: np.ndarray
    some: np.ndarray
    count: int
    batch_size: int


def _look_at(data, validation_data, seed) -> _Looked:
    train, validation = read_data(data, validation_data)
    count = count_examples(train)
    is_arrays = isinstance(data, tuple) and train is not data[0]
    # A look at the first batch would count as an epoch.
    steps = None if is_arrays else count_steps(train)
    size = -(-count // steps) if steps else choose_batch_size(count)
    x, y = sample_examples(without_epoch(train), _TO_TRAIN, seed)
    # Class after class, trials would see one of them only.
    order = np.random.default_rng(seed).permutation(len(y))
    x, y = x[order], y[order]
    if len(np.unique(y)) < 2:
        raise ValueError(
            "There must be examples of two classes or more. Received: data "
            f"with {count} examples, all of the same class"
        )
    if validation is not None:
        judges = sample_examples(validation, _TO_JUDGE, seed)
    else:
        rest, held = make_folds(y, seed)[0]
        judges = x[held], y[held]
        x, y = x[rest], y[rest]
    shape = tuple(label_spec(train).shape)
    train, validation = (
        batch_arrays((inputs, restore_labels(labels, shape)), batch_size)
        for (inputs, labels), batch_size in (((x, y), size), (judges, 32))
    )
    return _Looked(train, validation, y, x[:32], count, size)


def _check_classes(model, labels) -> None:
    outputs = max(model.output_shape[-1], 2)
    if labels.max() >= outputs:
        raise ValueError(
            "The data has classes that the model does not tell apart. Received:"
            f" a model with {outputs} classes, and labels up to {labels.max()}"
        )


@contextlib.contextmanager
def _borrow(model, data) -> Iterator[None]:
    """Compile a model as `fine_tune` would; put all of it back at the end."""
    weights = model.get_weights()
    attributes = dict(vars(model))
    objective = compile_arguments(model, label_spec(data))
    try:
        with restore_trainable(model):
            with model.distribute_strategy.scope():
                model.compile("adam", **objective)
            yield
    finally:
        vars(model).clear()
        vars(model).update(attributes)
        model.set_weights(weights)


def _train_head(model, images: Inputs) -> float:
    """Train the head until it has converged; return the rate for it."""
    rate = choose_head_rate(model, batches=images.train)
    with restore_trainable(model):
        set_trainable(model, "head")
        inputs = compute_inputs(model, images)
        with cut_at(model, inputs.cut), trial(model) as attempt:
            attempt.train(inputs.train, _HEAD_STEPS, rate)
            trained = model.get_weights()
    model.set_weights(trained)
    return rate


def _try_rates(model, train: str, images: Inputs) -> float:
    with restore_trainable(model):
        set_trainable(model, train)
        inputs = compute_inputs(model, images)
        with cut_at(model, inputs.cut):
            return choose_learning_rate(
                model,
                batches=inputs.train,
                validation_data=inputs.validation,
                steps=TRIAL_STEPS,
            )
