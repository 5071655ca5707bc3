"""Save what was changed in a pretrained network, without the network."""

import os

import keras
import numpy as np

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.layer_groups import find_nested_backbone
from keras_transfer.freezing.adapters import (
    factors_of,
    find_adapted,
    weights_without_factors,
)
from keras_transfer.freezing.delta_file import (
    DeltaFile,
    describe_weight,
    to_bytes,
    write_delta,
)


def save_delta(model: keras.Model, path: str | os.PathLike, base) -> DeltaFile:
    """Save the weights of a model that differ from those of its base.

    That is the head, adapters (both factors, not merged), and whatever was
    trained or adapted itself: biases, gamma and beta, statistics of
    BatchNorm. Weights are compared bit by bit, so that nothing is missed. What
    is the same as in the base is not in the file, but a digest of it is:
    `load_delta` puts the two together again, and refuses another base.

    Example:

    ```python
    model = kt.build_classifier(kt.load_backbone("MobileNetV2"), names)
    before = model.get_weights()
    kt.add_lora(model, "top:4")
    kt.fine_tune(model, train, validation)
    print(kt.save_delta(model, "flowers.npz", before))

    # Elsewhere:
    model = kt.build_classifier(kt.load_backbone("MobileNetV2"), names)
    kt.load_delta(model, "flowers.npz")
    ```

    Args:
        model: A built Keras model.
        path: The file, a plain `.npz` of NumPy without pickles. One that is
            there is replaced, in one step.
        base: What the model was made from. The same model built anew with its
            pretrained weights; `model.get_weights()` from before training,
            with adapters or without; or a backbone loaded anew, if the model
            holds it as a nested model: all else is in the file then. What it
            is compared with decides on the size of the file alone, never on
            what comes back.

    Returns:
        A `DeltaFile`, which prints how large it is: `.path`, `.bytes`,
        `.full_bytes` of all weights, and the paths of the `.weights`.

    Raises:
        ValueError: If `base` is none of these; if it holds the very variables
            of the model, which then cannot differ, or nothing differs.
    """
    weights = model.weights
    before = _align(model, base)
    factors = {id(v) for x in find_adapted(model) for v in factors_of(x)}
    stored = [
        n
        for n, weight in enumerate(weights)
        if id(weight) in factors or not _is_same(weight, before.get(id(weight)))
    ]
    if not stored:
        raise ValueError(
            "No weight of the model differs from its base, and there is "
            "nothing to save. Keep the weights from before training. "
            f"Received: base={_describe(base)}"
        )
    return write_delta(os.fspath(path), model, stored)


def _align(model, base) -> dict:
    """Map ids of weights to what they are compared with."""
    if isinstance(base, Backbone):
        base = base.model
    if isinstance(base, keras.Model):
        values = base.weights
        own = {id(weight) for weight in model.weights}
        if any(id(weight) in own for weight in values):
            raise ValueError(
                "`base` shares its variables with the model, and was trained "
                "with it: load the backbone once more, or pass the "
                "`model.get_weights()` of before training. "
                f"Received: base={_describe(base)}"
            )
    elif isinstance(base, list | tuple):
        values = [np.asarray(array) for array in base]
    else:
        raise _refuse(model, base)
    nested = find_nested_backbone(model)
    for part in filter(None, (model, nested)):
        plain = weights_without_factors(part)
        for weights in (plain, part.weights):
            if len(weights) == len(values):
                pairs = zip(weights, values, strict=True)
                return {id(weight): value for weight, value in pairs}
    raise _refuse(model, base)


def _is_same(weight, value) -> bool:
    if value is None or tuple(value.shape) != tuple(weight.shape):
        return False
    if isinstance(value, keras.Variable):
        same = describe_weight(value)[2] == describe_weight(weight)[2]
    else:
        same = (
            keras.backend.standardize_dtype(value.dtype)
            == (describe_weight(weight)[2])
        )
    return same and bool((to_bytes(value) == to_bytes(weight)).all())


def _refuse(model, base) -> ValueError:
    plain, weights = len(weights_without_factors(model)), len(model.weights)
    return ValueError(
        "`base` must be what the model was made from: the same model built "
        "anew, a list of arrays as of `model.get_weights()`, or the backbone "
        f"that is nested in it. The model has {plain} weights, and {weights} "
        f"with its adapters. Received: base={_describe(base)}"
    )


def _describe(base) -> str:
    if isinstance(base, list | tuple):
        return f"a list of {len(base)}"
    if isinstance(base, keras.Model):
        return f"{base.name} with {len(base.weights)} weights"
    return repr(base)
