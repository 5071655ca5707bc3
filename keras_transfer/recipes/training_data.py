"""What `fine_tune` needs to know of the data it is given."""

import functools

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.caching.answers import count_answers
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.recipes.task_checks import check_task_labels

_BATCH_SIZE = 32
_LEAST_BATCH_SIZE = 8
_LEAST_STEPS = 16  # of an epoch, as far as batches may shrink
_EPOCHS, _LEAST_STEPS_IN_ALL = 30, 250


def as_dataset(data, *, shuffle: bool, seed: int | None, name: str):
    """Turn arrays into batches; leave data sets as they are.

    Args:
        data: A batched `tf.data.Dataset` or a `keras.utils.PyDataset` of
            `(x, y)` or `(x, y, sample_weight)`, or such a tuple of arrays.
        shuffle: Whether arrays are shuffled anew each epoch, and their
            batches are those of `choose_batch_size` rather than of 32.
        seed: Seed of the shuffling.
        name: Name of the argument, for messages.

    Returns:
        A `tf.data.Dataset` or `PyDataset`.

    Raises:
        ValueError: If the data is of another kind, has no labels or never
            ends.
    """
    if isinstance(data, keras.utils.PyDataset):
        return data
    if isinstance(data, tuple) and len(data) in (2, 3):
        labels = data[1]
        if isinstance(labels, dict):
            labels = next(iter(labels.values()), ())
        size = choose_batch_size(len(labels)) if shuffle else _BATCH_SIZE
        return batch_arrays(data, size, shuffle=shuffle, seed=seed)
    if not isinstance(data, tf.data.Dataset):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset or keras.utils.PyDataset of "
            "batches (x, y), or a tuple of arrays (x, y). "
            f"Received: {name}={type(data)}"
        )
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"`{name}` must give batches of (x, y). "
            f"Received: {name} with element_spec={spec}"
        )
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"`{name}` never ends, so an epoch has no length. Use "
            f"`{name}.take(steps)`. Received: {name}={data}"
        )
    return data


def choose_batch_size(count: int) -> int:
    """Choose a batch size at which epochs of few examples have enough steps.

    Args:
        count: Number of examples.

    Returns:
        32, or from 512 examples down a sixteenth of them, but 8 at least.
    """
    return min(_BATCH_SIZE, max(_LEAST_BATCH_SIZE, count // _LEAST_STEPS))


def choose_epochs(steps: int | None) -> int:
    """Choose how many epochs to train: more where they are short.

    Args:
        steps: Number of steps of an epoch, where known.

    Returns:
        30, or what makes 250 steps where 30 epochs do not.
    """
    return max(_EPOCHS, -(-_LEAST_STEPS_IN_ALL // steps)) if steps else _EPOCHS


def count_steps(data) -> int | None:
    """Count the batches of a data set, or `None` where it does not say."""
    if isinstance(data, tf.data.Dataset):
        steps = int(data.cardinality())
    else:
        steps = data.num_batches or -1
    return steps if steps >= 0 else None


def label_spec(data):
    """Return objects with the shapes of a batch of labels."""
    if isinstance(data, tf.data.Dataset):
        return data.element_spec[1]
    labels = data[0][1]
    if isinstance(labels, dict):
        return {name: np.asarray(part) for name, part in labels.items()}
    return np.asarray(labels)


def check_fit(model: keras.Model, data) -> None:
    """Refuse data that does not fit a model, before it runs.

    Args:
        model: A classifier, or a model for several tasks.
        data: A data set as returned by `as_dataset`.

    Raises:
        ValueError: If the model does not have one input and one output that
            are known; if the images have another size than it takes or are
            not in batches; or if the data has another number of classes, or
            not the labels of each task.
    """
    if isinstance(model, MultitaskModel):
        check_task_labels(model, label_spec(data))
    else:
        _check_classes(model, data)
    _check_inputs(model, data)


def _check_classes(model, data) -> None:
    shapes = [
        getattr(model, name, None) for name in ("input_shape", "output_shape")
    ]
    if not all(isinstance(shape, tuple) for shape in shapes):
        raise ValueError(
            "`fine_tune` trains functional and Sequential models with one "
            "input and one output, built. For others there is "
            "`kt.GradualUnfreezing`, in a `fit` of your own. "
            f"Received: model={model!r}"
        )
    names = getattr(data, "class_names", None)
    outputs = model.output_shape[-1]
    if names is not None and max(outputs, 2) != max(len(names), 2):
        raise ValueError(
            "The model has another number of classes than the data: "
            f"`kt.build_classifier(backbone, train.class_names)`. Received: "
            f"{outputs} outputs, and {len(names)} classes: {list(names)}"
        )


def _check_inputs(model, data) -> None:
    if not isinstance(data, tf.data.Dataset):
        return
    shape = getattr(data.element_spec[0], "shape", None)
    if shape is None or shape.rank is None:
        return
    expected = model.input_shape
    if tf.TensorShape(expected[1:]).is_compatible_with(shape):
        raise ValueError(
            "The data is not in batches: use `data.batch(32)`. Received: "
            f"examples of shape {tuple(shape)}, and a model for batches of "
            f"{tuple(expected)}"
        )
    if not tf.TensorShape(expected).is_compatible_with(shape):
        raise ValueError(
            "The model takes inputs of another shape than the data has. Load "
            f"the images with `image_size={tuple(expected[1:3])}`, or the "
            "backbone with another `input_shape`. Received: data of shape "
            f"{tuple(shape)}, and a model for {tuple(expected)}"
        )


def check_answers(model: keras.Model, data) -> None:
    """Refuse what has no answers to compare, with a `ValueError`."""
    x, y = next(iterate_batches(data))
    few = keras.tree.map_structure(lambda part: part[:2], (x, y))
    # Eagerly: for two examples, that is quicker than to trace.
    answer = functools.partial(model, training=False)
    if count_answers(model, [few], answer) is None:
        raise ValueError(
            '"auto" compares the answers of a classifier on validation data. '
            "For another kind of model name a strategy, or pass phases. "
            f"Received: strategy='auto', model={model.name}"
        )


def name_classes(model: keras.Model, names) -> None:
    """Let a model that was built for a number of classes learn their names.

    Args:
        model: The model.
        names: Those that the data has, or `None`.
    """
    if names is not None and getattr(model, "class_names", ()) is None:
        model.class_names = list(names)
