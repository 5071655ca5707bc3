"""What can be had without any training of the network."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_transfer.backbones.backbone import Backbone, check_backbone
from keras_transfer.board.fetch_examples import look_at_batch
from keras_transfer.caching.pooled_features import describe_examples, pool
from keras_transfer.data.labelled_data import find_class_names, read_data
from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)
from keras_transfer.freezing.reinitialize import untrained_copy
from keras_transfer.insight import baselines as named
from keras_transfer.insight.baselines import Baselines
from keras_transfer.insight.shallow_answers import (
    answer_most_frequent,
    answer_nearest,
    answer_regression,
    make_folds,
)
from keras_transfer.insight.zero_shot import judge_zero_shot, map_classes

_PIXELS = 16  # a side


def baseline(
    data,
    backbone: Backbone,
    validation_data=None,
    *,
    source_model: keras.Model | None = None,
    class_map: Mapping | None = None,
    seed: int = 0,
) -> Baselines:
    """Measure what can be had before any training.

    What a training is worth shows beside this: the most frequent class; the
    five nearest neighbours and a logistic regression on the features of the
    frozen backbone; the same on those of the same network with random
    weights, and a logistic regression on the pixels, which know nothing of
    another task. Where the last three do as well, the source does not help.

    Example:

    ```python
    train, validation = kt.load_image_folder("photos")
    backbone = kt.load_backbone("MobileNetV2")
    print(kt.baseline(train, backbone, validation))
    ```

    Args:
        data: A `tf.data.Dataset` or `keras.utils.PyDataset` of batches
            `(x, y)`, a tuple of arrays, or the pair of data sets that
            `load_image_folder` returns. Each example has one class.
        backbone: From `load_backbone`.
        validation_data: The same, but no pair. What is measured is measured
            on it; without it, on `data` in five folds, each answered by what
            was made of the others.
        source_model: The pretrained classifier with its old head, from the
            same inputs as `backbone.model`, for a guess without any examples
            where its classes tell those of the data.
        class_map: For each class name of the data the names (or numbers) of
            the classes of `source_model` that mean it. Defaults to those of
            equal names.
        seed: Seed of the random weights and of the folds. Defaults to 0.

    Returns:
        `Baselines`: `.rows` for pandas, `.gain(name, than)`, and a table when
        it is printed.

    Raises:
        ValueError: If an argument is not as described.
    """
    check_backbone(backbone)
    if class_map is not None and source_model is None:
        raise ValueError(
            "`class_map` is for a `source_model`. "
            f"Received: source_model=None, class_map={class_map}"
        )
    given = [p for p in read_data(data, validation_data) if p is not None]
    ways = {"backbone": pool(backbone)}
    with contextlib.suppress(ValueError):  # A SavedModel has but one state.
        ways["untrained"] = pool(forget(backbone, seed))
    if source_model is not None:
        ways["source"] = lambda x: source_model(
            backbone.preprocess(x), training=False
        )

    def judge_source(said, y):
        names = find_class_names(given[0], y.max() + 1)
        known = getattr(source_model, "class_names", None)
        mapped = map_classes(names, known, said.shape[1], class_map)
        return judge_zero_shot(said, y, mapped)

    return compare_baselines(ways, given, seed, judge_source)


def compare_baselines(
    ways: dict[str, Callable],
    given: list,
    seed: int = 0,
    judge_source: Callable | None = None,
) -> Baselines:
    """Let all baselines answer.

    Args:
        ways: Functions from a batch of inputs to vectors: those of the
            pretrained network, `"backbone"`; the same with random weights,
            `"untrained"`, where they are to be had; and the answers of the
            source's own head, `"source"`.
        given: Training data, and validation data if there is some.
        seed: Seed of the folds, where there is none.
        judge_source: What judges the answers of the source's head.

    Returns:
        The `Baselines`.
    """
    start = time.perf_counter()
    if _are_images(given[0]):
        ways = {**ways, "pixels": shrink}
    described, labels = zip(
        *(describe_examples(ways, part) for part in given), strict=True
    )
    features = {n: np.concatenate([d[n] for d in described]) for n in ways}
    y = np.concatenate(labels)
    if len(np.unique(labels[0])) < 2:
        raise ValueError(
            "There must be examples of two classes or more to learn from. "
            f"Received: data with the classes {np.unique(labels[0])}"
        )
    if len(given) == 2:
        count = len(labels[0])
        folds = [(np.arange(count), np.arange(count, len(y)))]
    else:
        folds = make_folds(y, seed)
    right = {
        name: _judge(answer, features[way], y, folds)
        for name, (answer, way) in _BASELINES.items()
        if way in features
    }
    asked = np.sort(np.concatenate([test for _, test in folds]))
    if "source" in features:
        said = judge_source(features["source"], y)
        if said is not None:
            right[named.ZERO_SHOT] = said
    right = {name: part[asked] for name, part in right.items()}
    measured_on = "validation" if len(given) == 2 else _OUT_OF_FOLD
    return Baselines(right, measured_on, time.perf_counter() - start)


_OUT_OF_FOLD = "held-out folds of the training"
# What answers, and what it looks at.
_BASELINES = {
    named.MOST_FREQUENT: (
        lambda _, labels, x: answer_most_frequent(x, labels),
        "backbone",
    ),
    named.NEIGHBOURS: (answer_nearest, "backbone"),
    named.REGRESSION: (answer_regression, "backbone"),
    named.RANDOM_NEIGHBOURS: (answer_nearest, "untrained"),
    named.RANDOM_REGRESSION: (answer_regression, "untrained"),
    named.PIXELS: (answer_regression, "pixels"),
}


def _are_images(data) -> bool:
    x, _ = look_at_batch(data)
    shape = getattr(x, "shape", ())
    return len(shape) == 4 and shape[-1] in (1, 3)


def forget(backbone: Backbone, seed: int = 0) -> Backbone:
    """Take the same network with random weights, as `forget_model`."""
    return dataclasses.replace(
        backbone, model=forget_model(backbone.model, seed)
    )


def forget_model(model: keras.Model, seed: int = 0) -> keras.Model:
    """Build the same model with random weights.

    Args:
        model: A Keras model; it is left as it is.
        seed: Seed of the weights. What else is random goes on as before.

    Raises:
        ValueError: If it cannot be built anew, as a SavedModel.
    """
    state = capture_random_state()
    keras.utils.set_random_seed(seed)
    try:
        return untrained_copy(model)
    finally:
        restore_random_state(state)


def shrink(images):
    """Turn images into vectors of 16 x 16 pixels."""
    images = keras.ops.cast(images, "float32")
    small = keras.ops.image.resize(
        images, (_PIXELS, _PIXELS), antialias=True, data_format="channels_last"
    )
    return keras.ops.reshape(small, (keras.ops.shape(small)[0], -1))


def _judge(answer, x, y, folds) -> np.ndarray:
    """Return whether each example that a fold holds was answered rightly."""
    answers = np.full(len(y), -1)
    for train, test in folds:
        answers[test] = answer(x[train], y[train], x[test])
    return (answers == y).astype("float64")
