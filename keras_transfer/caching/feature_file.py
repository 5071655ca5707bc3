"""Files of rows that grow frame by frame, each frame with its digest."""

import hashlib
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from keras_transfer.data.example_digests import DTYPE

_HEADER = struct.Struct("<4sIQ")
_MAGIC = b"KTF1"
_DIGEST_SIZE = 16


def write_frame(file: BinaryIO, digests: np.ndarray, rows: np.ndarray) -> int:
    """Append rows to a file.

    A process that dies while writing leaves a frame that has no digest, and
    those before it as they were.

    Args:
        file: A file that is open for appending, without a buffer.
        digests: The digests of the rows' examples, of `DTYPE`.
        rows: As many rows, a structured array.

    Returns:
        Where the rows begin in the file.

    Raises:
        OSError: If they could not be written whole. None is left then.
    """
    head = _HEADER.pack(_MAGIC, len(rows), rows.dtype.itemsize)
    frame = b"".join([head, digests.tobytes(), rows.tobytes()])
    rest = memoryview(frame + _digest(frame))
    start = file.seek(0, 2)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise
    return start + len(frame) - rows.nbytes


def read_frames(file: BinaryIO, row_size: int) -> Iterator[tuple]:
    """Go through the frames of a file that are as they were written.

    Args:
        file: A file that is open for reading.
        row_size: Bytes a row.

    Yields:
        The digests of the examples of a frame, and where its rows begin.
    """
    start, end = 0, file.seek(0, 2)
    while start + _HEADER.size <= end:
        file.seek(start)
        head = file.read(_HEADER.size)
        magic, count, size = _HEADER.unpack(head)
        body = count * (DTYPE.itemsize + row_size)
        following = start + _HEADER.size + body + _DIGEST_SIZE
        if (magic, size) != (_MAGIC, row_size) or following > end:
            return  # nothing tells where the next frame would begin
        frame = head + file.read(body)
        if file.read(_DIGEST_SIZE) == _digest(frame):
            digests = np.frombuffer(frame, DTYPE, count, len(head)).copy()
            yield digests, start + len(frame) - count * row_size
        start = following


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).digest()
