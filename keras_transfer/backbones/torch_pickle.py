"""Reads legacy torch `.pth` state dicts with NumPy and executes nothing.

`torch.save` wrote five pickles (magic number, protocol, system, state dict,
storage keys) and then the raw storages until torch 1.6 made a zip file the
default. `pickle.load` would run whatever such a file asks for, so the pickles
are not given to it: see `pickle_machine`.
"""

import hashlib
import math
import os
from typing import Any

import numpy as np

from keras_transfer.backbones.pickle_machine import (
    Reader,
    Storage,
    Tensor,
    clip,
    require,
    type_name,
    unpickle,
)

# The pickles of torch's magic number and of its protocol, 1001.
_HEADER = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de9032e")
_SYSTEM = {
    "protocol_version": 1001,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


def read_state_dict(
    path: str | os.PathLike, sha256: str | None = None
) -> dict[str, np.ndarray]:
    """Reads the tensors of a legacy torch `.pth` file, without torch.

    Example:

    ```python
    state = read_state_dict("efficientnet-lite0-57934424.pth")
    state["_fc.weight"].shape  # (1000, 1280)
    ```

    Args:
        path: A file written by `torch.save(model.state_dict(), path)` before
            torch 1.6, or later with `_use_new_zipfile_serialization=False`.
            Its storages may be float32, float16 or int64.
        sha256: The hexadecimal digest that the file must have. Without it,
            altered weights in an intact structure go unnoticed.

    Returns:
        A dictionary of NumPy arrays. Tensors that share a storage in the
        file share memory here.

    Raises:
        ValueError: If the file holds anything but a flat dictionary of
            tensors, is cut short or altered, or has another digest.
        OSError: If the file cannot be opened.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _parse(data, sha256)
    except ValueError as error:
        raise ValueError(
            f"Refused to read {os.fspath(path)!r} as a legacy torch state "
            f"dict: {error}. Nothing in it was executed. Get a fresh copy "
            "(of a pip package: `pip install --force-reinstall` its name), "
            "or save it again with `torch.save(model.state_dict(), path, "
            "_use_new_zipfile_serialization=False)`. "
            f"Received: path={os.fspath(path)!r}"
        ) from error


def _parse(data: bytes, sha256: str | None) -> dict[str, np.ndarray]:
    if sha256 is not None:
        digest = hashlib.sha256(data).hexdigest()
        require(
            digest == sha256,
            f"its SHA-256 digest is {digest}, expected {sha256}: it is "
            "damaged or of another version",
        )
    is_zip = data.startswith(b"PK\x03\x04")
    require(not is_zip, "it is a zip file, the format of torch 1.6 and later")
    reader = Reader(data)
    is_legacy = reader.take(len(_HEADER)) == _HEADER
    require(is_legacy, "it does not begin with the magic number of torch")
    known = unpickle(reader) == _SYSTEM
    require(known, "its third pickle does not tell the sizes of the numbers")
    storages: dict[str, Storage] = {}
    tensors = unpickle(reader, storages)
    _check_tensors(tensors, storages)
    values = _read_storages(reader, storages)
    return {
        name: _view(values[tensor.storage.key], tensor)
        for name, tensor in tensors.items()
    }


def _check_tensors(tensors: Any, storages: dict[str, Storage]) -> None:
    known = type(tensors) is dict
    require(known, f"it holds a {type_name(tensors)}, not a state dict")
    used = dict.fromkeys(storages, 0)
    for name, tensor in tensors.items():
        known = type(tensor) is Tensor
        require(known, f"{clip(name)} is a {type_name(tensor)}, not a tensor")
        used[tensor.storage.key] += math.prod(tensor.size)
    # Sees the sizes that were altered to something smaller.
    for key, storage in storages.items():
        require(
            used[key] >= storage.count,
            f"its tensors use {used[key]} of the {storage.count} values of "
            f"the storage {clip(key)} (clone a slice before saving it)",
        )


def _read_storages(
    reader: Reader, storages: dict[str, Storage]
) -> dict[str, np.ndarray]:
    keys = unpickle(reader)
    known = (
        type(keys) is list
        and all(type(key) is str for key in keys)
        and sorted(keys) == sorted(storages)
    )
    require(known, "its storage keys are not those of its tensors")
    values = {}
    for key in keys:
        count, dtype = storages[key].count, np.dtype(storages[key].dtype)
        written = reader.number(8)
        require(
            written == count,
            f"the storage {clip(key)} has {written} values, where its "
            f"tensors expect {count}",
        )
        raw = reader.take(count * dtype.itemsize)
        values[key] = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))
    at_end = reader.position == len(reader.data)
    require(at_end, f"it goes on after byte {reader.position}, its end")
    return values


def _view(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Takes a tensor out of its storage: a block with its axes permuted.

    That is all that the weights of a network need. Free strides could make
    the values overlap, or skip some.
    """
    size, stride = tensor.size, tensor.stride
    order = sorted(range(len(size)), key=lambda axis: -stride[axis])
    block = values[tensor.offset : tensor.offset + math.prod(size)]
    block = block.reshape([size[axis] for axis in order])
    array = block.transpose(np.argsort(order))
    for axis, length in enumerate(size):
        step = array.strides[axis] // array.itemsize
        require(
            array.size == 0 or length == 1 or step == stride[axis],
            f"the strides {stride} of a tensor of size {size} leave gaps or "
            "overlap",
        )
    return array
