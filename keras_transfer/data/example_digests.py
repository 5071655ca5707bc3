"""Digests by which examples are known again."""

import hashlib

import keras
import numpy as np

DTYPE = np.dtype("S16")


def digest_examples(batch) -> np.ndarray:
    """Return a digest of each example of a batch, by all that it consists of.

    Args:
        batch: A structure of tensors or arrays with one row for each example.

    Returns:
        An array of `DTYPE`.
    """
    arrays = [
        np.ascontiguousarray(keras.ops.convert_to_numpy(part))
        for part in keras.tree.flatten(batch)
    ]
    kinds = [f"{array.dtype}{array.shape[1:]}" for array in arrays]
    start = hashlib.blake2b("|".join(kinds).encode(), digest_size=16)
    digests = []
    for rows in zip(*arrays, strict=True):
        digest = start.copy()
        for row in rows:
            digest.update(_as_bytes(row))
        digests.append(digest.digest())
    return np.array(digests, DTYPE)


def digest_texts(texts: list[str]) -> np.ndarray:
    """Return a digest of each text, as an array of `DTYPE`."""
    encoded = (text.encode("utf-8", "surrogateescape") for text in texts)
    digests = [hashlib.blake2b(t, digest_size=16).digest() for t in encoded]
    return np.array(digests, DTYPE)


def digest_views(digests: np.ndarray, views: int) -> np.ndarray:
    """Return digests of several views of each example.

    Args:
        digests: Digests of the examples.
        views: How many views there are. A single one is the example itself.

    Returns:
        An array of `views * len(digests)` digests, view by view.
    """
    if views == 1:
        return digests
    size = DTYPE.itemsize
    return np.array(
        [
            hashlib.blake2b(
                digest.ljust(size, b"\0"), digest_size=size, salt=b"%d" % view
            ).digest()
            for view in range(views)
            for digest in digests.tolist()
        ],
        DTYPE,
    )


def _as_bytes(row) -> bytes:
    if isinstance(row, bytes | str) or row.dtype == object:
        # Texts have a length each. Written like this, they have an end.
        row = np.asarray(row, object)
        return repr(row.tolist()).encode()
    return row.tobytes()
