"""A classifier's answers on labelled data, counted.

They are computed from cached features where there are some.
"""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.cached_data import find_cached
from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.data.outcomes import count_outcomes
from keras_transfer.freezing.quiet_function import quiet_function


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
        return as_float32(model(x, training=False))

    return predict if model.run_eagerly else quiet_function(predict)


def as_float32(outputs):
    """Turn what a model returns into float32."""
    return keras.tree.map_structure(
        lambda output: tf.cast(output, "float32"), outputs
    )


def collect_answers(
    model: keras.Model, data, predict: Callable | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Let a classifier answer, and keep the true labels beside its outputs.

    Args:
        model: A Keras model.
        data: As for `iterate_batches`.
        predict: From `make_predict(model)`, to make it once for many calls.

    Returns:
        As `pair_outputs`, in NumPy; empty if this is no classifier.
    """
    predict = predict or make_predict(model)
    found = {}
    for x, y in iterate_batches(find_cached(model, data)):
        pairs = pair_outputs(model, y, predict(x))
        if not pairs:
            break
        for name, pair in pairs.items():
            found.setdefault(name, []).append(
                [keras.ops.convert_to_numpy(part) for part in pair]
            )
    return {
        name: tuple(map(np.concatenate, zip(*batches, strict=True)))
        for name, batches in found.items()
    }


def pair_outputs(model: keras.Model, labels, outputs) -> dict[str, tuple]:
    """Find the labels of each output that may be that of a classifier.

    Args:
        model: The model.
        labels: The labels of a batch, or a structure of them.
        outputs: What the model returned for it.

    Returns:
        By the name of the output, which is `""` for a model with a single
        one: labels `(examples, ...)` and outputs `(examples, classes)`.
    """
    if keras.tree.is_nested(outputs):
        names = getattr(model, "output_names", None)
        outputs, labels = (_by_name(part, names) for part in (outputs, labels))
    else:
        outputs, labels = {"": outputs}, {"": labels}
    return {
        name: (labels[name], output)
        for name, output in outputs.items()
        if labels.get(name) is not None
        and not any(map(keras.tree.is_nested, (labels[name], output)))
        and len(output.shape) <= 2
    }


def _by_name(parts, names) -> dict:
    if isinstance(parts, list | tuple):
        is_known = names is not None and len(names) == len(parts)
        names = names if is_known else map(str, range(len(parts)))
        parts = dict(zip(names, parts, strict=True))
    return parts if isinstance(parts, dict) else {}


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
    answers = collect_answers(model, data, predict).get("")
    return None if answers is None else tally_answers(model, *answers)


def tally_answers(
    model: keras.Model, labels: np.ndarray, outputs: np.ndarray, name: str = ""
) -> np.ndarray | None:
    """Count as `count_answers`, what `collect_answers` has of one output."""
    loss = _find_loss(model, name)
    kind = loss if isinstance(loss, str) else getattr(loss, "name", None)
    kind = str(kind or getattr(loss, "__name__", ""))
    return count_outcomes(
        labels,
        outputs,
        binary_loss="binary" in kind or kind == "bce",
        from_logits=gives_logits(model, name),
    )


def gives_logits(model: keras.Model, name: str = "") -> bool:
    """Tell by its loss whether an output of a model is logits."""
    return bool(getattr(_find_loss(model, name), "from_logits", False))


def _find_loss(model, name):
    loss = getattr(model, "loss", None)
    if name and keras.tree.is_nested(loss):
        names = getattr(model, "output_names", None)
        return _by_name(loss, names).get(name)
    return loss


def name_classes(
    model: keras.Model,
    data,
    classes: int,
    names: Sequence | Mapping | None = None,
    output: str = "",
) -> list:
    """Find names for the classes that a model tells apart.

    Args:
        model: The model; it may have `class_names`.
        data: Its data; it may have `class_names`.
        classes: Number of classes.
        names: Names that go before those of model and data. For several
            outputs, names by the name of the output.
        output: Name of the output, where there are several.

    Returns:
        A list of `classes` names; numbers where nothing fits.

    Raises:
        ValueError: If `names` are given and do not fit.
    """
    if isinstance(names, Mapping):
        names = names.get(output)
    given = names
    for owner in (model, data):
        if names is None:
            names = getattr(owner, "class_names", None)
            if isinstance(names, Mapping):
                names = names.get(output)
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


def check_names(
    model: keras.Model,
    answers: Mapping[str, tuple],
    names: Sequence | Mapping | None,
) -> None:
    """Refuse names by output where no output is called so.

    Args:
        model: The model.
        answers: From `collect_answers`.
        names: As for `name_classes`.

    Raises:
        ValueError: If there are such names.
    """
    if not isinstance(names, Mapping) or not answers:
        return
    if "" in answers:
        raise ValueError(
            "`class_names` must be a list in the order of the outputs, as the "
            "model has one output; a dictionary has such a list by the name "
            f"of each of several outputs. Received: class_names={names}"
        )
    known = {*answers, *(getattr(model, "output_names", None) or ())}
    if not known >= set(names):
        raise ValueError(
            "`class_names` must have a list by the name of an output: "
            f"{', '.join(answers)}. Received: class_names={names}"
        )
