"""How a row of features and labels lies on disk."""

import zlib

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.caching.no_cut_error import NoCutError

_CHECKSUM = "checksum"


class RowLayout:
    """The parts of a batch, side by side in one structured array.

    Args:
        part: A batch of features and labels, a structure of tensors.

    Attributes:
        row: What a row is, a structured `numpy.dtype`.
        dtypes: The dtype of each part.

    Raises:
        NoCutError: If there are texts among them, which have a length each.
    """

    def __init__(self, part):
        self._structure = keras.tree.map_structure(lambda _: 0, part)
        flat = keras.tree.flatten(part)
        if any(tensor.dtype == tf.string for tensor in flat):
            raise NoCutError("texts cannot be kept on disk")
        self.dtypes = [tensor.dtype for tensor in flat]
        self._shapes = [tensor.shape[1:] for tensor in flat]
        self._names = [str(n) for n in range(len(flat))]
        parts = [
            (name, tensor.dtype.as_numpy_dtype, tensor.shape[1:])
            for name, tensor in zip(self._names, flat, strict=True)
        ]
        self.row = np.dtype([(_CHECKSUM, "<u4"), *parts])

    def describe(self) -> str:
        """Return what tells layouts apart."""
        parts = zip(self.dtypes, self._shapes, strict=True)
        return str([(dtype.name, tuple(shape)) for dtype, shape in parts])

    def pack(self, part) -> np.ndarray:
        """Turn a batch into an array of `row`.

        Raises:
            NoCutError: If it has other shapes than the first one.
        """
        flat = keras.tree.flatten(part)
        found = [(tensor.dtype, tensor.shape[1:]) for tensor in flat]
        if found != list(zip(self.dtypes, self._shapes, strict=True)):
            raise NoCutError("the examples have different shapes or dtypes")
        rows = np.empty(len(flat[0]), self.row)
        for name, tensor in zip(self._names, flat, strict=True):
            rows[name] = tensor.numpy()
        rows[_CHECKSUM] = _compute_checksums(rows)
        return rows

    def unpack(self, rows: np.ndarray) -> list[np.ndarray]:
        """Turn an array of `row` into the parts of a batch.

        Raises:
            OSError: If a row is not as it was packed.
        """
        if (rows[_CHECKSUM] != _compute_checksums(rows)).any():
            raise OSError(
                "A file of cached features was damaged while it was in use. "
                "Run it again: what is damaged is computed anew."
            )
        return [np.ascontiguousarray(rows[name]) for name in self._names]

    def fetch(self, function, numbers: tf.Tensor):
        """Call a function that gives rows, in a graph.

        Args:
            function: From numbers to a list as `unpack` gives it.
            numbers: `int64` of shape `(batch,)`.

        Returns:
            A structure of tensors.
        """
        flat = tf.numpy_function(function, [numbers], self.dtypes)
        for tensor, shape in zip(flat, self._shapes, strict=True):
            tensor.set_shape((None, *shape))
        return keras.tree.pack_sequence_as(self._structure, flat)


def _compute_checksums(rows: np.ndarray) -> np.ndarray:
    parts = rows.view("uint8").reshape(len(rows), rows.dtype.itemsize)
    after = rows.dtype[_CHECKSUM].itemsize
    return np.array([zlib.crc32(part[after:]) for part in parts], "u4")
