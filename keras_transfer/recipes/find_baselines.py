"""What a training is to be held against, beside its own phases."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.confidences import read_guesses
from keras_transfer.board.fetch_examples import count_examples
from keras_transfer.caching.answers import collect_answers
from keras_transfer.freezing.adapters import find_adapted
from keras_transfer.freezing.merge_lora import merge_lora
from keras_transfer.freezing.phase import Phase
from keras_transfer.freezing.reinitialize import untrained_copy
from keras_transfer.insight.baselines import SCRATCH, Baselines
from keras_transfer.insight.model_baselines import model_baselines

# Epochs of more than the head, each of which takes three passes or so.
_WORTH_A_PASS = 10


def check_baselines(baselines: bool | str, validation_data) -> None:
    """Refuse what `fine_tune` does not take, with a `ValueError`."""
    if baselines not in ("auto", "scratch", True, False):
        raise ValueError(
            '`baselines` must be "auto", "scratch", `True` or `False`. '
            f"Received: baselines={baselines!r}"
        )
    if baselines in ("scratch", True) and validation_data is None:
        raise ValueError(
            "Baselines are measured on `validation_data`. Received: "
            f"baselines={baselines!r}, validation_data=None"
        )


def check_slices(slices: Mapping | None, validation_data) -> None:
    """Refuse slices that do not fit the data, before anything trains."""
    if slices is None:
        return
    if not isinstance(slices, Mapping) or validation_data is None:
        raise ValueError(
            "`slices` must be a dictionary, with values for each example of "
            "`validation_data`. Received: "
            f"slices={slices!r}, validation_data={validation_data}"
        )
    examples = count_examples(validation_data)
    for name, values in slices.items():
        if np.shape(values) != (examples,):
            raise ValueError(
                f"`slices` must have a value for each of the {examples} "
                f"validation examples, in their order. Received: {name!r} "
                f"with values of shape {np.shape(values)}"
            )


def find_baselines(
    baselines: bool | str,
    model: keras.Model,
    train,
    validation_data,
    phases: Sequence[Phase],
    *,
    seed: int,
) -> Baselines | None:
    """Measure what `fine_tune` was asked to, before it trains.

    Args:
        baselines: As for `fine_tune`.
        model: The model, not yet trained.
        train: The training data.
        validation_data: The validation data, or `None`.
        phases: What is to be trained.
        seed: Seed of what is random.

    Returns:
        The `Baselines`; `None` if there is nothing to measure, or not worth
        it.

    Raises:
        ValueError: If they were asked for and cannot be measured.
    """
    is_optional = baselines == "auto"
    below = sum(p.epochs for p in phases if p.train != "head")
    if not baselines or validation_data is None:
        return None
    if is_optional and below < _WORTH_A_PASS:
        return None
    try:
        return model_baselines(model, train, validation_data, seed=seed)
    except ValueError:
        if is_optional:
            return None
        raise


def add_scratch(
    baselines: Baselines,
    fine_tune: Callable,
    model: keras.Model,
    train,
    validation_data,
    **options,
) -> Baselines:
    """Train the same model from random weights, and add what comes of it.

    Args:
        baselines: What was measured.
        fine_tune: What trains.
        model: The model; it is left as it is.
        train: The training data.
        validation_data: The validation data.
        **options: For `fine_tune`.

    Returns:
        The `Baselines` with one more.
    """
    untrained = untrained_copy(model)
    if find_adapted(untrained):
        merge_lora(untrained)  # all of it is to train
    untrained.compile(loss=model.loss)
    fine_tune(
        untrained,
        train,
        validation_data,
        strategy="scratch",
        log_dir=False,
        baselines=False,
        verbose=0,
        **options,
    )
    labels, outputs = collect_answers(untrained, validation_data)[""]
    right = read_guesses(outputs, labels).is_right.astype("float64")
    return dataclasses.replace(
        baselines, right={**baselines.right, SCRATCH: right}
    )
