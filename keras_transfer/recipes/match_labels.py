"""Data whose labels are numbered as a model numbers its classes."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.data.example_order import without_epoch
from keras_transfer.data.labelled_data import class_numbers
from keras_transfer.data.renumber_labels import renumber_labels
from keras_transfer.forgetting.numbered_examples import number_examples


def match_labels(
    data, argument: str, model: keras.Model, names: Sequence[str] | None
) -> tf.data.Dataset:
    """Number the labels of data as a model numbers its classes.

    Args:
        data: A `tf.data.Dataset` of batches `(x, y)` or
            `(x, y, sample_weight)`, or such a tuple of arrays; labels are
            numbers of classes.
        argument: Name of the argument, for messages.
        model: A classifier.
        names: The names that the labels count, all among the `class_names` of
            the model. `None` where they are numbers of the model.

    Returns:
        A data set with an `example_order`, labels `int32` `(batch,)`.

    Raises:
        ValueError: If data, labels or names are not as described.
    """
    source = number_examples(data, argument)
    labels = _read_labels(source, argument)
    known = getattr(model, "class_names", None)
    places = np.arange(max(model.output_shape[-1], 2))
    if names is not None:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"`{argument}` has classes that neither the model nor "
                f"`new_data` has: {unknown}. Received: {argument} with the "
                f"classes {list(names)}"
            )
        places = np.array([list(known).index(name) for name in names])
    if labels.max() >= len(places):
        raise ValueError(
            f"Labels of `{argument}` must be less than {len(places)}. For new "
            "classes, pass `class_names`, the names that the labels count. "
            f"Received: {argument} with labels up to {labels.max()}"
        )
    spec = source.element_spec[1]
    is_alike = spec.dtype == tf.int32 and spec.shape.rank == 1
    if is_alike and np.array_equal(places, np.arange(len(places))):
        if names is None or list(names) == list(known):
            return source
    numbered = renumber_labels(source, places)
    if known is not None:
        numbered.class_names = list(known)
    return numbered


def _read_labels(source, argument) -> np.ndarray:
    labels = source.example_order.labels
    if labels is None:
        batches = [batch[1].numpy() for batch in without_epoch(source)]
        labels = np.concatenate(batches)
    labels = np.asarray(labels)
    if labels.size != len(labels):
        raise ValueError(
            f"Labels of `{argument}` must be the number of one class each; "
            "one-hot ones become that by `argmax(axis=-1)`. "
            f"Received: {argument} with labels of shape {labels.shape}"
        )
    return class_numbers(labels)
