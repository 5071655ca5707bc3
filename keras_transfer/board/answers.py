"""A classifier's answers on labelled data, counted."""

from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.class_report import count_outcomes
from keras_transfer.caching.cached_data import find_cached

_BATCH_SIZE = 32  # for data in arrays


def make_predict(model: keras.Model) -> Callable:
    """Make a function from inputs to a model's outputs, for repeated use.

    It leaves alone what `fit` and `predict` use: compiled functions, metrics
    and random states. It is slow the first time only, and sees new weights,
    but not a new `run_eagerly`.

    Args:
        model: A Keras model.

    Returns:
        A function from a batch of inputs to float32 outputs.
    """

    def predict(x):
        outputs = model(x, training=False)
        return keras.tree.map_structure(
            lambda output: tf.cast(output, "float32"), outputs
        )

    if model.run_eagerly:
        return predict
    return tf.function(predict, autograph=False, reduce_retracing=True)


def collect_answers(
    model: keras.Model, data, predict: Callable | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Let a classifier answer, and keep the true labels beside its outputs.

    Args:
        model: A Keras model.
        data: As for `iterate_batches`.
        predict: From `make_predict(model)`, to make it once for many calls.

    Returns:
        Labels `(examples, ...)` and outputs `(examples, classes)`, or `None`
        if this is no classifier.
    """
    predict = predict or make_predict(model)
    labels, outputs = [], []
    for x, y in iterate_batches(find_cached(model, data)):
        output = predict(x)
        if any(keras.tree.is_nested(part) for part in (y, output)):
            return None
        if y is None or len(output.shape) > 2:
            return None
        labels.append(keras.ops.convert_to_numpy(y))
        outputs.append(keras.ops.convert_to_numpy(output))
    return np.concatenate(labels), np.concatenate(outputs)


def count_answers(
    model: keras.Model, data, predict: Callable | None = None
) -> np.ndarray | None:
    """Count what a classifier gets right and wrong.

    Args:
        model: A compiled Keras model; its loss tells what outputs mean.
        data: As for `iterate_batches`.
        predict: From `make_predict(model)`, to make it once for many calls.

    Returns:
        As `count_outcomes`: a confusion matrix, one two by two for each
        class, or `None` if this is no classifier.
    """
    answers = collect_answers(model, data, predict)
    return None if answers is None else tally_answers(model, *answers)


def tally_answers(
    model: keras.Model, labels: np.ndarray, outputs: np.ndarray
) -> np.ndarray | None:
    """Count as `count_answers`, what `collect_answers` has collected."""
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    name = str(name or getattr(loss, "__name__", ""))
    return count_outcomes(
        labels,
        outputs,
        binary_loss="binary" in name or name == "bce",
        from_logits=gives_logits(model),
    )


def gives_logits(model: keras.Model) -> bool:
    """Tell by its loss whether the outputs of a model are logits."""
    loss = getattr(model, "loss", None)
    return bool(getattr(loss, "from_logits", False))


def name_classes(
    model: keras.Model, data, classes: int, names: Sequence | None = None
) -> list:
    """Find names for the classes that a model tells apart.

    Args:
        model: The model; it may have `class_names`.
        data: Its data; it may have `class_names`.
        classes: Number of classes.
        names: Names that go before those of model and data.

    Returns:
        A list of `classes` names; numbers where nothing fits.

    Raises:
        ValueError: If `names` are given and do not fit.
    """
    given = names
    for owner in (model, data):
        if names is None:
            names = getattr(owner, "class_names", None)
    names = list(range(classes) if names is None else names)
    if classes == 2 and len(names) == 1:
        names.insert(0, f"not {names[0]}")
    if len(names) == classes:
        return names
    if given is None:
        return list(range(classes))
    raise ValueError(
        f"The model tells {classes} classes apart. "
        f"Received: class_names={given}"
    )


def check_labelled_data(data) -> None:
    """Refuse what `iterate_batches` cannot iterate over, or not to its end.

    Args:
        data: Anything; `None` passes.

    Raises:
        ValueError: If the data is of another kind, or never ends.
    """
    known = (tuple, tf.data.Dataset, keras.utils.PyDataset)
    if data is not None and not isinstance(data, known):
        raise ValueError(
            "`validation_data` must be a tuple of arrays, a `tf.data.Dataset` "
            f"or a `PyDataset`. Received: validation_data={data!r}"
        )
    if isinstance(data, tf.data.Dataset):
        endless = int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
    else:
        endless = getattr(data, "num_batches", 0) is None
    if endless:
        raise ValueError(
            "`validation_data` must end somewhere. "
            f"Received: validation_data={data!r}"
        )


def iterate_batches(data) -> Iterator[tuple]:
    """Go once over labelled data.

    Args:
        data: A `tf.data.Dataset`, `keras.utils.PyDataset` or list of batches
            `(x, y)` or `(x, y, sample_weight)`, or such a tuple of arrays.

    Yields:
        Batches `(x, y)`.
    """
    if isinstance(data, tuple):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        for start in range(0, len(y), _BATCH_SIZE):
            rows = slice(start, start + _BATCH_SIZE)
            yield keras.tree.map_structure(lambda a, r=rows: a[r], (x, y))
        return
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(data.num_batches))
    for batch in data:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        yield x, y
