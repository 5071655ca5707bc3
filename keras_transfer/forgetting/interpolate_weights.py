"""A model between two others."""

import warnings
from collections.abc import Callable

import keras
import numpy as np

from keras_transfer.forgetting.copy_model import copy_model
from keras_transfer.forgetting.recompute_batch_norm import (
    list_batch_norms,
    prepare_recomputing,
)
from keras_transfer.forgetting.weight_values import (
    average_weights,
    find_one_model,
    read_weights,
)


def interpolate_weights(
    before: keras.Model | list,
    after: keras.Model | list,
    alpha: float,
    *,
    train_data=None,
) -> keras.Model:
    """Make the model whose weights are between those of two others.

    Fine-tuning gains on the new task, and loses some of what was there
    before. The mean of the weights before and after often has most of both,
    and is sometimes better on the new task than either: WiSE-FT (Wortsman et
    al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903). It
    works where the one was fine-tuned from the other, or both from a third;
    the head must have been trained before as well.

    Where BatchNorm was frozen its statistics are the same, and stay. Where it
    was not, they are computed anew on the training data, as
    `recompute_batch_norm` does.

    Example:

    ```python
    before = model.get_weights()
    kt.fine_tune(model, train, validation)
    between = kt.interpolate_weights(before, model, 0.5)
    ```

    Args:
        before: A Keras model, or a list of arrays as of
            `model.get_weights()`.
        after: The same. One of the two must be a model.
        alpha: Float in [0, 1]: weights are `(1 - alpha) * before + alpha *
            after`, computed in float64. 0 gives `before` and 1 gives `after`,
            to the bit. Between the two, integer weights are those of `after`.
        train_data: Data for BatchNorm, as for `recompute_batch_norm`. Defaults
            to `None`: its statistics are interpolated as well, with a warning
            if they differ.

    Returns:
        A new model. It is a copy of `after`, or of `before` where `after` is a
        list: what trains, random states, loss and metrics are those of it,
        and the optimizer begins anew. Neither of the two changes.

    Raises:
        ValueError: If none is a model, they differ in structure or the model
            cannot be copied; or if `alpha` is not in [0, 1].
    """
    check_alpha(alpha)
    model, move = prepare_interpolation(before, after, train_data)
    move(alpha)
    return model


def check_alpha(alpha: float) -> None:
    """Refuse what is no number in [0, 1] with a `ValueError`."""
    try:
        is_valid = 0 <= alpha <= 1
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"`alpha` must be a number in [0, 1]. Received: alpha={alpha}"
        )


def prepare_interpolation(
    before, after, train_data
) -> tuple[keras.Model, Callable[[float], None]]:
    """Make a model that can be moved between two others.

    Args:
        before: As for `interpolate_weights`.
        after: As for `interpolate_weights`.
        train_data: As for `interpolate_weights`.

    Returns:
        Tuple `(model, move)`: a new model, and a function of alpha that sets
        its weights.

    Raises:
        ValueError: As `interpolate_weights`.
    """
    model = find_one_model([before, after])
    ends = read_weights({"before": before, "after": after}, model)
    model = copy_model(model)
    changed = find_changed_statistics(model, ends)
    recompute = changed and prepare_recomputing(model, changed)
    has_warned = False

    def move(alpha):
        nonlocal has_warned
        values = average_weights(ends, (1 - alpha, alpha), whole=1)
        model.set_weights(values)
        if changed and 0 < alpha < 1:
            if train_data is not None:
                recompute(train_data)
            elif not has_warned:
                has_warned = True
                warn_of_statistics(changed, stacklevel=4)

    return model, move


def find_changed_statistics(
    model: keras.Model, values: list[list[np.ndarray]]
) -> list:
    """List the BatchNorm layers whose statistics are not the same in all.

    Args:
        model: A model of their structure.
        values: From `read_weights`.
    """
    position = {id(w): n for n, w in enumerate(model.weights)}
    return [
        layer
        for layer in list_batch_norms(model)
        if any(
            not np.array_equal(values[0][position[id(w)]], other)
            for w in (layer.moving_mean, layer.moving_variance)
            for other in (arrays[position[id(w)]] for arrays in values[1:])
        )
    ]


def warn_of_statistics(layers: list, stacklevel: int) -> None:
    """Say that statistics of BatchNorm layers are those of no weights."""
    warnings.warn(
        f"The statistics of {len(layers)} BatchNorm layers were averaged like "
        "weights, which makes them wrong for the model between: pass the "
        "training data as `train_data`.",
        stacklevel=stacklevel,
    )
