"""Baselines of a model that is about to be trained."""

import contextlib
import dataclasses

import keras

from keras_transfer.board.embeddings import make_embed
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.example_order import without_epoch
from keras_transfer.insight.baseline import compare_baselines, forget_model
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.sample_examples import sample_examples

_MOST_EXAMPLES = 1000
_BATCH_SIZE = 32


def model_baselines(
    model: keras.Model, train, validation_data, *, seed: int = 0
) -> Baselines:
    """Measure what can be had without training a model's network.

    As `baseline`, on what enters the head of the model, which takes one pass
    over at most 1,000 training examples and over the validation data.

    Args:
        model: A classifier with a head, its weights as its source left them.
        train: Training data, a data set. If it is one of ours, its order goes
            on as if it had not been read.
        validation_data: Validation data.
        seed: Seed of what is random.

    Returns:
        The `Baselines`, on the examples of the validation data in their order.

    Raises:
        ValueError: If the model has no head or several inputs, or labels are
            no classes that exclude each other.
    """
    ways = {"backbone": _embed(model)}
    with contextlib.suppress(ValueError):  # A SavedModel has but one state.
        ways["untrained"] = _embed(forget_model(model, seed))
    few = sample_examples(without_epoch(train), _MOST_EXAMPLES, seed)
    count = len(few[1])
    few = batch_arrays(few, _BATCH_SIZE)
    found = compare_baselines(ways, [few, validation_data], seed)
    is_limited = count == _MOST_EXAMPLES
    return dataclasses.replace(found, fitted_on=count if is_limited else None)


def _embed(model):
    embed = make_embed(model)
    return lambda x: embed(x)[0]
