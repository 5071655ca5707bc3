"""A name for what a frozen prefix computes, the same in every process."""

import hashlib
import json

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.unrolled_graph import Step

# In the configuration of a layer; what differs between two builds of the same
# network, or does not matter in inference mode.
_IRRELEVANT = {"name", "trainable", "seed", "trained"}


def digest_prefix(
    steps: list[Step], inputs: list, outputs: list, weights: str, *others
) -> str:
    """Name what a prefix computes: its layers, their wiring, their weights.

    Layers are known by their configurations, whatever their names. Two
    versions of a layer class with the same configuration are not told apart,
    nor is code outside of the configuration.

    Args:
        steps: The steps of the prefix.
        inputs: Keys of what they read.
        outputs: Keys of what is kept of what they write.
        weights: What `digest_weights` gives for its variables.
        *others: What else decides what comes of it: layers, or what JSON
            holds.

    Returns:
        A digest of 32 hexadecimal digits.

    Raises:
        NoCutError: If a layer has no configuration.
    """
    numbers = {key: n for n, key in enumerate(inputs)}
    described = [keras.__version__, tf.__version__, *map(_describe, others)]
    for step in steps:
        reads = [numbers[key] for key in step.reads.values()]
        for key in step.writes:
            numbers[key] = len(numbers)
        described.append([_describe(step.operation), reads])
        described.append(_plain(step.arguments))
    described.append([numbers[key] for key in outputs])
    described.append(weights)
    return _digest(json.dumps(described, sort_keys=True).encode())


def digest_weights(variables) -> str:
    """Return a digest of variables as they are."""
    found = hashlib.blake2b(digest_size=16)
    for variable in variables:
        value = keras.ops.convert_to_numpy(variable.value)
        found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()


def _describe(operation):
    if not isinstance(operation, keras.Operation):
        return _plain(operation)
    try:
        config = keras.saving.serialize_keras_object(operation)
    except Exception as error:  # of anybody's layer
        raise NoCutError(
            f"`{operation.name}` has no configuration by which its features "
            f"could be found again ({type(error).__name__})"
        ) from error
    return _plain(config)


def _plain(value, dropped=()):
    """Turn a configuration into what JSON holds, without what varies."""
    if isinstance(value, dict):
        kept = {str(k): value[k] for k in value if k not in dropped}
        if "class_name" in kept and isinstance(kept.get("config"), dict):
            kept.pop("build_config", None)
            # The name of a policy is all that there is to it.
            is_policy = kept["class_name"].endswith("Policy")
            config = kept.pop("config")
            config = _plain(config, () if is_policy else _IRRELEVANT)
            return {**_plain(kept), "config": config}
        return {key: _plain(part) for key, part in kept.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return [str(array.dtype), list(array.shape), _digest(array.tobytes())]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
