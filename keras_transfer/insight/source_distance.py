"""How unlike the source's data some data is, seen from inside a network."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_transfer.backbones.layer_inputs import hear_inputs


def measure_distance(model: keras.Model, x) -> float | None:
    """Compare what reaches BatchNorm with what the source's data gave.

    BatchNorm layers remember mean and variance of each channel over the data
    that the network was trained on. For each, it is the distance of two normal
    distributions (Wasserstein's, of order 2) in standard deviations of the
    source, averaged over channels and layers:
    `sqrt((mean - mean')**2 + (deviation - deviation')**2) / deviation'`.

    Args:
        model: A built Keras model, its backbone as its source left it.
        x: A batch of inputs, some dozens.

    Returns:
        A number, 0 for data like that of the source; `None` where nothing is
        remembered: in networks without BatchNorm, or never trained.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and _has_learned(layer)
    ]
    if not layers:
        return None
    with contextlib.ExitStack() as stack:
        heard = [stack.enter_context(hear_inputs(layer)) for layer in layers]
        model(x, training=False)
    distances = [
        _compare(layer, ops.convert_to_numpy(ops.cast(inputs[0], "float32")))
        for layer, inputs in zip(layers, heard, strict=True)
        if inputs
    ]
    return float(np.mean(np.concatenate(distances))) if distances else None


def _has_learned(layer) -> bool:
    means = ops.convert_to_numpy(layer.moving_mean)
    variances = ops.convert_to_numpy(layer.moving_variance)
    return bool((means != 0).any() and (variances != 1).any())


def _compare(layer, inputs) -> np.ndarray:
    axis = layer.axis % inputs.ndim
    others = tuple(n for n in range(inputs.ndim) if n != axis)
    mean, deviation = inputs.mean(axis=others), inputs.std(axis=others)
    known = ops.convert_to_numpy(layer.moving_mean)
    usual = np.sqrt(ops.convert_to_numpy(layer.moving_variance) + layer.epsilon)
    return np.hypot(mean - known, deviation - usual) / usual


def distance_beside_noise(model: keras.Model, images) -> float | None:
    """Compare how far images and noise are from what the source was.

    How large `measure_distance` is depends on the network; noise is as far as
    it gets.

    Args:
        model: As for `measure_distance`.
        images: A batch of images `(batch, height, width, channels)`, some
            dozens.

    Returns:
        The distance of the images as a share of that of uniform noise in the
        same range; `None` where there is none, or these are no images.
    """
    images = ops.convert_to_numpy(images)
    if images.ndim != 4:
        return None
    distance = measure_distance(model, images)
    random = np.random.default_rng(0)
    noise = random.uniform(images.min(), images.max() + 1e-6, images.shape)
    beside = distance and measure_distance(model, noise.astype("float32"))
    return distance / beside if beside else None
