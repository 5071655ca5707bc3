"""Train more or fewer layer groups for a few steps each, and compare."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.caching.answers import make_predict
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.freezing.freezable_model import Freezable
from keras_transfer.freezing.quiet_function import quiet_function
from keras_transfer.freezing.trainable import set_trainable
from keras_transfer.freezing.trainable_state import restore_trainable
from keras_transfer.optimizers.trial import trial
from keras_transfer.recipes.validation_score import judge_examples

_SHARES = (1 / 8, 1 / 4, 1 / 2)  # of the groups below the head
_MOST_BYTES = 2**30


@dataclasses.dataclass(frozen=True, eq=False)
class DepthTrial:
    """What came of a short training.

    Attributes:
        train: What trained, as for `set_trainable`.
        right: How far each validation example was answered rightly, in
            [0, 1]: an array `(examples,)`.
        seconds: How long a step took; 0 for `"head"`, which is not trained.
    """

    train: str
    right: np.ndarray
    seconds: float


def list_depths(model: keras.Model) -> dict[str, int]:
    """List what may train: the head, an eighth to all of what lies below it.

    Args:
        model: A model whose last layer group is its head.

    Returns:
        From `"head"`, `"top:N"` and `"all"`, in this order, to the number of
        layer groups that train below the head.

    Raises:
        ValueError: If there is no head, or nothing below it.
    """
    names = [group.name for group in layer_groups(model)]
    below = len(names) - 1
    if not below or names[-1] != "head":
        raise ValueError(
            "The model must have a head, and layer groups below it. "
            f"Received: model={model.name} with the layer groups {names}"
        )
    counts = {round(share * below) for share in _SHARES} - {0, below}
    middle = {f"top:{count}": count for count in sorted(counts)}
    return {"head": 0, **middle, "all": below}


def try_depths(
    model: keras.Model,
    depths: Sequence[str],
    *,
    batches: Sequence,
    validation_data: Sequence,
    steps: int,
    learning_rate: float,
) -> list[DepthTrial]:
    """Train each number of layer groups a little, from the same head.

    What is frozen in a trial is computed once for each example.

    Args:
        model: A compiled classifier, its head trained; it is left so.
        depths: What is to train, from the least to the most, as from
            `list_depths`. For `"head"` the model is judged as it is.
        batches: Batches of training data, the same for each trial.
        validation_data: Batches of data on which trials are judged.
        steps: Length of a trial.
        learning_rate: Highest rate of a trial.

    Returns:
        A `DepthTrial` for each of `depths`.

    Raises:
        ValueError: If the model is no classifier.
    """
    images = known = Inputs(None, batches, validation_data)
    found = {}
    with restore_trainable(model):
        # What the deepest trial reads, all others are computed from.
        for train in reversed(depths):
            set_trainable(model, train)
            known = compute_inputs(model, images, known)
            seconds = 0.0
            # As a phase starts: variables that join late would overshoot.
            borrowed = trial(model, starts_anew=True)
            with cut_at(model, known.cut), borrowed as attempt:
                if train != "head":
                    seconds = attempt.train(known.train, steps, learning_rate)
                right = judge_examples(
                    model, known.validation, make_predict(model)
                )
            if right is None:
                raise ValueError(
                    "Trials are compared by the answers of a classifier. "
                    f"Received: model={model.name}"
                )
            found[train] = DepthTrial(train, right, seconds)
    return [found[train] for train in depths]


class Inputs(NamedTuple):
    """Batches of what a model is called with, from its cut on.

    Attributes:
        cut: The cut; `None` for batches as the data has them.
        train: Batches to train on.
        validation: Batches to judge by.
    """

    cut: Cut | None
    train: Sequence
    validation: Sequence


def compute_inputs(
    model: keras.Model, images: Inputs, known: Inputs | None = None
) -> Inputs:
    """Compute what is frozen once for all examples.

    Args:
        model: A model, what trains in it set.
        images: What the model takes as it is.
        known: What was computed for a cut nearer to the input. Where that
            suffices, it is what is read.

    Returns:
        The tensors that leave the frozen part, in memory; or `images`, where
        nothing can be computed once, or it would take more than 1 GiB.
    """
    if not isinstance(model, Freezable):
        return images
    try:
        cut = Cut(model)
    except NoCutError:
        return images
    run = known and known.cut and cut.from_another(known.cut)
    source = known if run else images
    run = quiet_function(run or cut.run_prefix)
    total = sum(len(batch[1]) for part in source[1:] for batch in part)
    parts = [], []
    for part, batches in zip(parts, source[1:], strict=True):
        for x, *others in batches:
            tensors = run(x)
            flat = keras.tree.flatten(tensors)
            size = sum(math.prod(t.shape) * t.dtype.size for t in flat)
            if size * total > _MOST_BYTES * len(flat[0]):
                return images
            part.append((tensors, *others))
    return Inputs(cut, *parts)


@contextlib.contextmanager
def cut_at(model: keras.Model, cut: Cut | None) -> Iterator[None]:
    """Let a model be called with the tensors of a cut, for a while."""
    before = vars(model).get("_cut")
    model._cut = cut
    try:
        yield
    finally:
        model._cut = before
