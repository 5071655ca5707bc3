"""A file of what was changed in a network, and of what it was changed in."""

import dataclasses
import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from keras_transfer.freezing.adapters import describe_adapters

_FORMAT = "keras_transfer delta 1"


@dataclasses.dataclass(frozen=True)
class DeltaFile:
    """What `save_delta` has written.

    Attributes:
        path: The file.
        bytes: Its size.
        full_bytes: The size of all weights of the model.
        weights: The paths of the weights that it holds.
    """

    path: str
    bytes: int
    full_bytes: int
    weights: tuple[str, ...]

    def __str__(self):
        share = self.bytes / self.full_bytes
        return (
            f"{self.path}: {len(self.weights)} weights in {self.bytes:,} "
            f"bytes, {share:.1%} of the {self.full_bytes:,} of the whole model"
        )


def describe_weight(weight: keras.Variable) -> list:
    """Describe a weight by what does not vary from build to build.

    Returns:
        Its name without the number that makes it unique, shape and dtype.
    """
    name = re.sub(r"_\d+$", "", weight.name)
    dtype = keras.backend.standardize_dtype(weight.dtype)
    return [name, list(weight.shape), dtype]


def digest_weights(weights: Iterable[keras.Variable]) -> str:
    """Return a digest of weights as they are, and of what they are."""
    found = hashlib.blake2b(digest_size=16)
    for weight in weights:
        found.update(json.dumps(describe_weight(weight)).encode())
        found.update(to_bytes(weight).tobytes())
    return found.hexdigest()


def to_bytes(value) -> np.ndarray:
    """Return the bytes of a weight or array, an array of `uint8`."""
    array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
    return array.reshape(-1).view("uint8")


def write_delta(
    path: str, model: keras.Model, stored: Sequence[int]
) -> DeltaFile:
    """Write some weights of a model, and a digest of the others.

    A process that dies while writing leaves an earlier file as it was.

    Args:
        path: The file.
        model: The model.
        stored: Positions in `model.weights`.
    """
    weights = model.weights
    kept = [w for n, w in enumerate(weights) if n not in set(stored)]
    names = getattr(model, "class_names", None)
    header = {
        "format": _FORMAT,
        "weights": [describe_weight(weight) for weight in weights],
        "paths": [weights[n].path for n in stored],
        "stored": list(stored),
        "kept": digest_weights(kept),
        "adapters": describe_adapters(model),
        "class_names": names and list(names),
    }
    arrays = {str(n): to_bytes(weights[n]) for n in stored}
    text = np.frombuffer(json.dumps(header).encode(), "uint8")
    unfinished = f"{path}.unfinished"
    with open(unfinished, "wb") as file:
        np.savez_compressed(file, header=text, **arrays)
    os.replace(unfinished, path)
    full = sum(to_bytes(weight).size for weight in weights)
    size = os.path.getsize(path)
    return DeltaFile(path, size, full, tuple(header["paths"]))


def read_delta(path: str) -> tuple[dict, dict[int, np.ndarray]]:
    """Read what `write_delta` wrote.

    Args:
        path: The file.

    Returns:
        The header, and the values of the weights by their positions.

    Raises:
        ValueError: If it is no such file, or damaged.
    """
    try:
        # NumPy 2.4 leaves a file open that is damaged, unless it is ours.
        with open(path, "rb") as opened, np.load(opened) as file:
            header = json.loads(file["header"].tobytes())
            if header["format"] != _FORMAT:
                raise ValueError(f"its format is {header['format']!r}")
            values = {
                n: _from_bytes(file[str(n)], header["weights"][n])
                for n in header["stored"]
            }
    except (AttributeError, LookupError, TypeError) as error:
        raise _refuse(path, f"it has not what it must have: {error}") from error
    except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _refuse(path, error) from error
    return header, values


def _from_bytes(array: np.ndarray, description: list) -> np.ndarray:
    _, shape, dtype = description
    # NumPy knows `bfloat16` and others where TensorFlow has been imported.
    return np.ascontiguousarray(array).view(dtype).reshape(shape)


def _refuse(path, reason) -> ValueError:
    return ValueError(
        "The file must be one of `kt.save_delta`, and whole. This one cannot "
        f"be read: {reason}. Received: path={path!r}"
    )
