"""Grad-CAM: where a classifier sees what speaks for a class."""

from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.feature_maps import (
    find_classifier_graph,
    find_feature_maps,
)
from keras_transfer.caching.unrolled_graph import run_steps, unroll_graph

_BATCH = 32


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    group: str | None = None,
    classes: int | Sequence[int] | None = None,
) -> np.ndarray:
    """Map where in each image a classifier finds what speaks for a class.

    Each channel of a feature map is weighted with the mean gradient of the
    class's score; what is positive in their sum is the map (equations 1 and 2
    of the paper). The score is what enters the softmax or sigmoid at the end
    of the model, as these saturate where the model is sure. If they are not
    Keras's own, it is the output, which gives the same maps as the logarithm
    of the probability. A single output is the score of class 1, and its
    negative that of class 0.

    The model runs in inference mode, outside its compiled functions, and is
    left as it was to the bit; a frozen one has maps, too.

    Example:

    ```python
    model = kt.build_classifier(backbone, ["cat", "dog"])
    maps = kt.grad_cam(model, images)  # (batch, 7, 7), the predicted class
    maps = kt.grad_cam(model, images, group="block_6", classes=1)  # dogs
    ```

    Reference:

    - [Grad-CAM](https://arxiv.org/abs/1610.02391) (ICCV 2017)

    Args:
        model: A functional or sequential classifier, nested or not, from one
            batch of images to one vector `(batch, classes)`.
        images: Images as the model takes them,
            `(batch, height, width, channels)`.
        group: The layer group (`layer_groups`) whose last feature map is
            looked at. Defaults to the deepest that `feature_map_groups`
            lists.
        classes: The class to explain, or one for each image. Defaults to the
            predicted ones.

    Returns:
        A `float32` array `(batch, rows, columns)` with the size of the feature
        map. The largest value of each map is 1, unless nothing in the image
        speaks for the class: then it is 0 throughout. None is negative.

    Raises:
        ValueError: If the model has no such feature map, or an argument does
            not fit it.
    """
    graph = find_classifier_graph(model)
    unrolled = unroll_graph(graph)
    maps = find_feature_maps(model, unrolled.steps)
    key = maps[choose_group(maps, group)]
    images = np.asarray(images)
    _check_images(images, graph.inputs[0].shape)
    count = max(graph.outputs[0].shape[-1], 2)
    classes = _check_classes(classes, len(images), count)
    maps = []
    for start in range(0, len(images), _BATCH):
        rows = slice(start, start + _BATCH)
        [inputs] = graph._standardize_inputs(
            keras.tree.pack_sequence_as(
                graph._inputs_struct, [tf.convert_to_tensor(images[rows])]
            )
        )
        chosen = None if classes is None else classes[rows]
        maps.append(_map_batch(unrolled, inputs, key, chosen))
    return np.concatenate(maps)


def choose_group(groups: Collection[str], group: str | None) -> str:
    """Return a group, or the deepest, of those that make a feature map.

    Raises:
        ValueError: If the group is not among them.
    """
    if group is None:
        return list(groups)[-1]
    if group not in groups:
        raise ValueError(
            "`group` must be a layer group in which a feature map is made: "
            f"{', '.join(groups)}. Received: group={group!r}"
        )
    return group


def _check_images(images, expected) -> None:
    fits = len(images.shape) == 4 and all(
        wanted in (None, side)
        for wanted, side in zip(expected[1:], images.shape[1:], strict=True)
    )
    if not fits or not len(images):
        raise ValueError(
            f"`images` must be of shape {('batch', *expected[1:])}, with at "
            f"least one. Received: images of shape {images.shape}"
        )


def _check_classes(classes, size: int, count: int) -> np.ndarray | None:
    if classes is None:
        return None
    array = np.asarray(classes)
    is_known = array.dtype.kind in "iu" and np.all(
        (array >= 0) & (array < count)
    )
    if not is_known or array.shape not in ((), (size,)):
        raise ValueError(
            f"`classes` must be a number from 0 to {count - 1}, or one for "
            f"each of the {size} images. Received: classes={classes!r}"
        )
    return np.broadcast_to(array, (size,))


def _map_batch(unrolled, inputs, key, classes) -> np.ndarray:
    steps, values = unrolled.steps, {unrolled.inputs[0]: inputs}
    cut = 1 + next(n for n, step in enumerate(steps) if key in step.writes)
    # What a layer may draw or count, even in inference, ends with the scope.
    with keras.StatelessScope():
        run_steps(steps[:cut], values, _never)
        with tf.GradientTape(True, watch_accessed_variables=False) as tape:
            # A tensor of its own: layers may hand on the one that they get.
            features = values[key] = tf.identity(values[key])
            tape.watch(features)
            run_steps(steps[cut:], values, _never)
            scores = _read_scores(unrolled, values)
            if classes is None:
                classes = tf.argmax(scores, axis=1)
            chosen = tf.gather(scores, classes, axis=1, batch_dims=1)
        slopes = _find_slopes(tape, chosen, features)
    features = tf.cast(features, "float32")
    weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    peaks = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peaks > 0, peaks, 1)


def _find_slopes(tape, scores, features):
    """Differentiate, up to a factor that cancels out of the maps.

    In float16 a mean over many places would leave nothing of a slope.
    """
    for factor in (1024.0, 1.0):
        upstream = factor * tf.ones_like(scores)
        slopes = tape.gradient(scores, features, upstream, "zero")
        slopes = tf.cast(slopes, "float32")
        if np.isfinite(slopes).all():  # and not too large for it, either
            break
    return slopes


def _never(operation) -> bool:
    return False


def _read_scores(unrolled, values):
    """Return the logits of all classes, `(batch, classes)`."""
    makers = {key: step for step in unrolled.steps for key in step.writes}
    [key] = unrolled.outputs
    # What Keras's softmax and sigmoid were given, for the losses to read. A
    # cast to float32 at the end of a model does not hand it on.
    while not hasattr(values[key], "_keras_logits") and _is_cast(makers[key]):
        [key] = makers[key].reads.values()
    scores = tf.cast(
        getattr(values[key], "_keras_logits", values[key]), "float32"
    )
    if scores.shape[-1] == 1:
        scores = tf.concat([-scores, scores], axis=1)
    return scores


def _is_cast(step) -> bool:
    activation = getattr(step.operation, "activation", None)
    is_activation = isinstance(step.operation, keras.layers.Activation)
    return is_activation and activation is keras.activations.linear
