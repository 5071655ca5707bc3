"""The layers on top of a backbone."""

from collections.abc import Sequence
from numbers import Integral

import keras
import numpy as np

_POOLINGS = {
    (4, "avg"): keras.layers.GlobalAveragePooling2D,
    (4, "max"): keras.layers.GlobalMaxPooling2D,
    (3, "avg"): keras.layers.GlobalAveragePooling1D,
    (3, "max"): keras.layers.GlobalMaxPooling1D,
}


def count_classes(
    classes: int | Sequence[str],
) -> tuple[int, list[str] | None]:
    """Read the `classes` argument of the builders.

    Args:
        classes: Number of classes, or their names.

    Returns:
        The number of classes, and their names or `None`.

    Raises:
        ValueError: If it is neither a positive number nor a list of different
            names.
    """
    if isinstance(classes, Integral) and not isinstance(classes, bool):
        if classes > 0:
            return int(classes), None
    elif isinstance(classes, Sequence | np.ndarray):
        names = [] if isinstance(classes, str) else list(classes)
        if names and all(isinstance(name, str) for name in names):
            if len(set(names)) == len(names):
                return len(names), names
    raise ValueError(
        "`classes` must be a positive number of classes or a list of "
        f"different names. Received: classes={classes!r}"
    )


def add_head(
    features: keras.KerasTensor,
    units: int,
    *,
    head: keras.layers.Layer | list | None,
    dropout: float,
    pooling: str | None,
    multi_label: bool,
) -> keras.KerasTensor:
    """Put pooling, dropout and an output layer on top of features.

    Args:
        features: What the backbone returns, of rank 2, 3 or 4.
        units: Number of classes.
        head: Layers to use between pooling and output in place of dropout.
            If their output already has one value a class, they are the whole
            head.
        dropout: Share of the features to drop, in [0, 1).
        pooling: `"avg"`, `"max"`, or `None` for a `head` that pools itself.
        multi_label: Whether classes do not exclude each other.

    Returns:
        Class probabilities `(batch, units)`, float32 under every dtype
        policy.

    Raises:
        ValueError: If the arguments do not lead to one vector an example.
    """
    x = enter_head(features, head=head, dropout=dropout, pooling=pooling)
    if head is not None and x.shape[-1] == units:
        if x.dtype == "float32":
            return x
        return keras.layers.Activation(
            "linear", dtype="float32", name="predictions"
        )(x)
    activation = "sigmoid" if multi_label or units == 1 else "softmax"
    return add_output_layer(x, units, activation)


def enter_head(
    features: keras.KerasTensor,
    *,
    head: keras.layers.Layer | list | None,
    dropout: float,
    pooling: str | None,
) -> keras.KerasTensor:
    """Put all but the output layer on top of features, as for `add_head`.

    Returns:
        One vector an example, `(batch, channels)`.

    Raises:
        ValueError: As `add_head`.
    """
    if pooling not in ("avg", "max", None):
        raise ValueError(
            '`pooling` must be "avg", "max" or None. '
            f"Received: pooling={pooling!r}"
        )
    if dropout and not 0 <= dropout < 1:
        raise ValueError(
            "`dropout` must be at least 0 and less than 1. "
            f"Received: dropout={dropout!r}"
        )
    x = features
    rank = len(x.shape)
    if rank > 2 and pooling is not None:
        if (rank, pooling) not in _POOLINGS:
            raise ValueError(
                "Features of the backbone must have 2, 3 or 4 dimensions, "
                f"the batch included. Received: shape={tuple(x.shape)}"
            )
        x = _POOLINGS[rank, pooling](name="head_pooling")(x)
    if head is not None:
        if isinstance(head, list | tuple):
            head = keras.Sequential(list(head), name="head")
        if not isinstance(head, keras.layers.Layer):
            raise ValueError(
                "`head` must be a Keras layer or a list of them. "
                f"Received: head={head!r}"
            )
        x = head(x)
    elif dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    if len(x.shape) != 2:
        raise ValueError(
            "The output layer needs one vector an example. Let `head` pool "
            'the features, or pass pooling="avg". '
            f"Received: shape={tuple(x.shape)}"
        )
    return x


def add_output_layer(
    x: keras.KerasTensor,
    units: int,
    activation: str,
    name: str = "predictions",
) -> keras.KerasTensor:
    """Put an output layer on top of one vector an example.

    Args:
        x: From `enter_head`.
        units: Number of values that it gives.
        activation: `"softmax"`, `"sigmoid"` or `"linear"`.
        name: Name of the layer. Defaults to `"predictions"`.

    Returns:
        Outputs `(batch, units)`, float32 under every dtype policy.
    """
    return keras.layers.Dense(
        units,
        activation=activation,
        # A tenth of the usual size. What lies outside the few features that
        # a small data set has never trains away, and blurs new answers.
        kernel_initializer=keras.initializers.VarianceScaling(
            0.01, "fan_avg", "uniform"
        ),
        dtype="float32",
        name=name,
    )(x)
