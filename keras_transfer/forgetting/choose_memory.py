"""A few examples that stand for all of a task."""

import math
import numbers
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.backbones.layer_inputs import hear_inputs
from keras_transfer.caching.pooled_features import describe_examples, pool
from keras_transfer.data.example_order import fetch_batches, without_epoch
from keras_transfer.forgetting.herd import herd
from keras_transfer.forgetting.numbered_examples import number_examples

_BATCH_SIZE = 32


def choose_memory(
    model: keras.Model | Backbone,
    data: tf.data.Dataset | tuple,
    *,
    per_class: int | None = None,
    megabytes: float | None = None,
    seed: int = 0,
) -> tuple:
    """Choose examples of a task to keep, when its data goes.

    Of each class, those whose mean features are nearest to the mean of all
    its examples: herding, section 3.4 of Rebuffi et al. 2017, "iCaRL",
    arXiv:1611.07725, on pooled and L2-normalized features.

    Example:

    ```python
    kept = kt.choose_memory(model, old_train, megabytes=10)
    train = kt.rehearse(new_train, kept, ratio=0.25)
    ```

    Args:
        model: A `Backbone`; or a Keras model with a head, whose features are
            those that enter the head. It is used in inference mode.
        data: A `tf.data.Dataset` of batches `(x, y)` with one class for each
            example, or such a tuple of arrays, as for `rehearse`.
        per_class: How many examples of each class to keep at most.
        megabytes: How many millions of bytes the examples may take, as the
            arrays that are returned. One of the two must be given.
        seed: Decides which classes have one more, where the room is not
            enough for all. Defaults to 0.

    Returns:
        Tuple `(x, y)` of arrays like those of the data, with the sample
        weights third where it has some; class by class, the first chosen
        first. All classes have the same number, but for one, and for those
        that have no more.

    Raises:
        ValueError: If neither or no valid limit is given, the room is not
            enough for one example of each class, the model has no head, or
            the data is not as described.
    """
    _check_limits(per_class, megabytes)
    describe = _make_features(model)
    dataset = number_examples(data, "data")
    features, labels = describe_examples(
        {"": describe}, without_epoch(dataset, _BATCH_SIZE)
    )
    classes = np.unique(labels)
    room = math.inf
    if megabytes is not None:
        size = _count_bytes(dataset)
        room = int(megabytes * 1e6 // size)
        if room < len(classes):
            raise ValueError(
                f"An example of each of {len(classes)} classes takes "
                f"{len(classes) * size / 1e6:.6g} MB in all: allow more. "
                f"Received: megabytes={megabytes}"
            )
    most = min(room, math.inf if per_class is None else per_class)
    order = np.random.default_rng(seed).permutation(len(classes))
    found = []
    for place, label in zip(order.tolist(), classes, strict=True):
        rows = np.flatnonzero(labels == label)
        chosen = rows[herd(features[""][rows], min(most, len(rows)))]
        found += [(rank, place, label, row) for rank, row in enumerate(chosen)]
    # Turn by turn, one of each class.
    kept = sorted(found)[: min(room, len(found))]
    kept = sorted(kept, key=lambda each: (each[2], each[0]))
    return _fetch(dataset, np.array([row for *_, row in kept]))


def _check_limits(per_class, megabytes) -> None:
    is_count = isinstance(per_class, numbers.Integral) and per_class > 0
    is_size = isinstance(megabytes, numbers.Real) and megabytes > 0
    if not (per_class is None or is_count) or not (
        megabytes is None or is_size
    ):
        raise ValueError(
            "`per_class` must be an integer of 1 or more, and `megabytes` a "
            f"number above 0. Received: per_class={per_class}, "
            f"megabytes={megabytes}"
        )
    if not is_count and not is_size:
        raise ValueError(
            "Say how much to keep: `per_class`, `megabytes` or both. "
            "Received: per_class=None, megabytes=None"
        )


def _make_features(model) -> Callable:
    """Make a function from inputs to pooled features."""
    if isinstance(model, Backbone):
        return pool(model)
    *_, last = layer_groups(model)
    if last.name != "head":
        raise ValueError(
            "The model has no head: pass a `Backbone` from `load_backbone`. "
            f"Received: model={model.name}"
        )

    def describe(x):
        with hear_inputs(last.layers[0]) as heard:
            model(x, training=False)
        features = keras.ops.cast(heard[0], "float32")
        middle = tuple(range(1, len(features.shape) - 1))
        return keras.ops.mean(features, middle) if middle else features

    return describe


def _count_bytes(dataset) -> int:
    """Return the size of an example."""
    [batch] = _read(dataset, dataset.example_order.numbers[:1])
    return sum(part.nbytes for part in keras.tree.flatten(batch))


def _fetch(dataset, rows) -> tuple:
    batches = list(_read(dataset, dataset.example_order.numbers[rows]))
    return keras.tree.map_structure(
        lambda *parts: np.concatenate(parts), *batches
    )


def _read(dataset, numbers):
    rows = tf.data.Dataset.from_tensor_slices(numbers).batch(_BATCH_SIZE)
    for batch in fetch_batches(rows, dataset.example_order.fetch):
        yield keras.tree.map_structure(keras.ops.convert_to_numpy, batch)
