"""The weights of several models of one structure, as arrays."""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

_MOST_NAMED = 3


def read_weights(given: Mapping, model: keras.Model) -> list[list[np.ndarray]]:
    """Read the weights of models and lists, and check that they fit.

    Args:
        given: Models or lists of arrays, by the names that messages give
            them.
        model: The model whose structure all must have.

    Returns:
        A list of arrays for each, in the order of `model.weights`.

    Raises:
        ValueError: If some have another structure, or the model is quantized.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                "Weights that are quantized cannot be averaged: do it before "
                f"`quantize`. Received: a layer {layer.name!r} in "
                f"{layer.quantization_mode}"
            )
    return [_read(owner, name, model) for name, owner in given.items()]


def _read(owner, name, model) -> list[np.ndarray]:
    if isinstance(owner, keras.Model):
        paths = [weight.path for weight in owner.weights]
        kinds = list(map(_kind_of, owner.weights))
        arrays = owner.get_weights()
    elif isinstance(owner, list | tuple):
        arrays = [np.asarray(array) for array in owner]
        paths, kinds = [f"array {n}" for n in range(len(arrays))], None
    else:
        raise ValueError(
            f"`{name}` must be a Keras model, or a list of arrays as of "
            f"`model.get_weights()`. Received: {name}={type(owner).__name__}"
        )
    expected = [weight.path for weight in model.weights]
    if len(arrays) != len(expected):
        raise ValueError(
            f"The models must have the same structure. {model.name!r} has "
            f"{len(expected)} weights. Received: {name} with {len(arrays)}"
        )
    differ = [
        f"{path} {array.shape} for {weight.path} {tuple(weight.shape)}"
        for n, (path, array, weight) in enumerate(
            zip(paths, arrays, model.weights, strict=True)
        )
        if array.shape != tuple(weight.shape)
        or (kinds and kinds[n] != _kind_of(weight))
    ]
    if differ:
        rest = len(differ) - _MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        raise ValueError(
            "The models must have the same structure, weight by weight. "
            f"Received: {name} with {'; '.join(differ[:_MOST_NAMED])}{more}"
        )
    return [
        np.asarray(array, keras.backend.standardize_dtype(weight.dtype))
        for array, weight in zip(arrays, model.weights, strict=True)
    ]


def _kind_of(weight) -> str:
    """Return a weight's name without the number that makes it unique."""
    return re.sub(r"_\d+$", "", weight.name)


def find_one_model(given: Sequence) -> keras.Model:
    """Return the last of some models and lists of arrays that is a model.

    Args:
        given: Models and lists of arrays.

    Raises:
        ValueError: If there is no model among them.
    """
    models = [owner for owner in given if isinstance(owner, keras.Model)]
    if not models:
        kinds = ", ".join(type(owner).__name__ for owner in given)
        raise ValueError(
            "At least one must be a Keras model: lists of arrays do not say "
            f"what they are the weights of. Received: {kinds or 'nothing'}"
        )
    return models[-1]


def average_weights(
    values: Sequence[Sequence[np.ndarray]],
    shares: Sequence[float],
    whole: int,
) -> list[np.ndarray]:
    """Average weights, in float64.

    Where all are the same, that is the average, to the bit. One with a share
    of 1 is given as it is.

    Args:
        values: From `read_weights`: some lists of arrays.
        shares: A share for each, which sum to 1.
        whole: Number of the list that integers are taken from: the mean of
            two counts or random states is none.

    Returns:
        A list of arrays, with the shapes and dtypes of the first.
    """
    if 1 in shares:
        whole = list(shares).index(1)
        return list(values[whole])
    return [
        _average(column, shares) if _is_float(column[0]) else column[whole]
        for column in zip(*values, strict=True)
    ]


def _average(arrays, shares) -> np.ndarray:
    first, *others = arrays
    mean = sum(
        share * array.astype("float64")
        for share, array in zip(shares, arrays, strict=True)
    )
    same = np.logical_and.reduce([array == first for array in others])
    return np.where(same, first, mean.astype(first.dtype))


def _is_float(array) -> bool:
    return keras.backend.is_float_dtype(array.dtype.name)
