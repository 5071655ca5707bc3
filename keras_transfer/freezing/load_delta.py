"""Put what was changed in a pretrained network into another copy of it."""

import os

import keras

from keras_transfer.freezing.adapters import (
    describe_adapters,
    factors_of,
    find_adapted,
    find_places,
    restore_adapters,
    weights_without_factors,
)
from keras_transfer.freezing.delta_file import (
    describe_weight,
    digest_weights,
    read_delta,
)
from keras_transfer.freezing.forget_compiled import forget_compiled
from keras_transfer.freezing.freezable_model import make_freezable

_MOST_NAMED = 3


def load_delta(model: keras.Model, path: str | os.PathLike) -> None:
    """Give a model the weights that `save_delta` has saved of another.

    The model has the weights of the other one then, to the bit: those that
    the file holds, and its own where it was the same. It gets the adapters
    of the other one, and the names of its classes if it has none.

    What trains stays as it was, and adapters that are new do not:
    `set_trainable` and the phases of `fine_tune` see to that. Where the
    optimizer was built and there are new adapters, it is built anew.

    Example:

    ```python
    backbone = kt.load_backbone("bundled:efficientnet_lite0")
    model = kt.build_classifier(backbone, 10)
    kt.load_delta(model, "flowers.npz")
    ```

    Args:
        model: A model built like the other one, with its pretrained weights:
            without adapters, or with the same. Its head may have any weights,
            and augmentation may be missing.
        path: The file.

    Raises:
        ValueError: If the file is none of `save_delta`; if the model has
            other weights, adapters or classes; or if the weights that the file
            does not hold are not those that it was saved with. Nothing has
            changed then.
    """
    path = os.fspath(path)
    header, values = read_delta(path)
    plain = weights_without_factors(model)
    # The factors are those that are missing where it has no adapters.
    factors = _find_factors(header)
    described = [
        description
        for n, description in enumerate(header["weights"])
        if n not in factors
    ]
    _check_weights(plain, described, path)
    _check_adapters(model, header, path)
    _check_names(model, header, path)
    stored = set(header["stored"])
    positions = [n for n in range(len(header["weights"])) if n not in factors]
    kept = [w for n, w in zip(positions, plain, strict=True) if n not in stored]
    if digest_weights(kept) != header["kept"]:
        raise ValueError(
            "The file holds what was changed in another network: the "
            f"{len(kept)} weights that it does not hold are not those that it "
            "was saved with. Build the model with the pretrained weights that "
            "it was trained from (and a frozen head, if it had one). "
            f"Received: model={model.name}, path={path!r}"
        )

    if header["adapters"] and not find_adapted(model):
        make_freezable(model)
        with model.distribute_strategy.scope():
            restore_adapters(model, header["adapters"])
        for layer in find_adapted(model):
            for factor in factors_of(layer):
                factor.trainable = False
        forget_compiled(model)
    for n, value in values.items():
        model.weights[n].assign(value)
    names = header["class_names"]
    if names and getattr(model, "class_names", ()) is None:
        model.class_names = names


def _find_factors(header: dict) -> set[int]:
    return {
        n
        for n, (name, _, _) in enumerate(header["weights"])
        if header["adapters"] and name.startswith("lora_")
    }


def _check_weights(weights, described, path) -> None:
    if len(weights) != len(described):
        raise ValueError(
            f"The file is of a model with {len(described)} weights beside "
            f"those of adapters. Received: {len(weights)}, path={path!r}"
        )
    differ = [
        f"{weight.path} {found} for {expected}"
        for weight, expected in zip(weights, described, strict=True)
        if (found := describe_weight(weight)) != expected
    ]
    if differ:
        rest = len(differ) - _MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        raise ValueError(
            "The model must be built like the one that the file is of: each "
            "weight has its name, shape and dtype. "
            f"Received: {'; '.join(differ[:_MOST_NAMED])}{more}, path={path!r}"
        )


def _check_adapters(model, header, path) -> None:
    found, expected = describe_adapters(model), header["adapters"]
    if found and found != expected:
        raise ValueError(
            f"The model has {len(found)} adapters, and the file is of one with "
            f"{len(expected)}, or others: load it into a model that has none. "
            f"Received: model={model.name}, path={path!r}"
        )
    places = find_places(model)
    missing = [place for place, _, _ in expected if place not in places]
    if missing:
        weights = weights_without_factors(model)
        raise ValueError(
            "Layers that have adapters in the file cannot be given any: those "
            f"of {[weights[n].path for n in missing]}. "
            f"Received: model={model.name}, path={path!r}"
        )


def _check_names(model, header, path) -> None:
    found, expected = getattr(model, "class_names", None), header["class_names"]
    if found and expected and list(found) != expected:
        raise ValueError(
            f"The file is of a model with the classes {expected}, in this "
            f"order. Received: {list(found)}, path={path!r}"
        )
