"""Rows of features on disk, found by the digests of their examples."""

import contextlib
import os
import threading
import uuid
import weakref

import numpy as np

from keras_transfer.caching.feature_file import read_frames, write_frame
from keras_transfer.data.example_digests import DTYPE

SUFFIX = ".features"


class FeatureFolder:
    """A folder of rows that any number of processes may add to.

    Each writes to a file of its own, and reads those of all. Files that are
    removed meanwhile stay readable for those that have them open. What is not
    as it was written is left out, and so will be written again.

    Args:
        path: The folder. It is made.
        row: What a row is, a structured `numpy.dtype`.

    Raises:
        OSError: If the folder cannot be made or read.
    """

    def __init__(self, path: str, row: np.dtype):
        self.path = path
        self.row = row
        self._files, self._own = [], None
        # Two data sets may read at once, and a file has one position.
        self._lock = threading.Lock()
        os.makedirs(path, exist_ok=True)
        self._known = [_NOTHING]
        for name in sorted(os.listdir(path)):
            if name.endswith(SUFFIX):
                # Another process may have removed it.
                with contextlib.suppress(FileNotFoundError):
                    self._read_file(os.path.join(path, name))

    @property
    def files(self) -> list[str]:
        """The files that rows are read from."""
        return [file.name for file in self._files]

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Tell where the rows of some examples are.

        Args:
            digests: Digests of examples.

        Returns:
            An array `(examples, 2)` of file numbers and offsets; both are -1
            where there is no such row.
        """
        if len(self._known) > 1:
            known, places = map(np.concatenate, zip(*self._known, strict=True))
            known, first = np.unique(known, return_index=True)
            self._known = [(known, places[first])]
        [(known, places)] = self._known
        if not len(known):
            return np.full((len(digests), 2), -1)
        position = np.searchsorted(known, digests).clip(max=len(known) - 1)
        is_there = known[position] == digests
        return np.where(is_there[:, None], places[position], -1)

    def append(self, digests: np.ndarray, rows: np.ndarray) -> None:
        """Add rows.

        Args:
            digests: Digests of their examples.
            rows: An array of dtype `row`.

        Raises:
            OSError: If they cannot be written.
        """
        if self._own is None:
            name = f"{os.getpid()}-{uuid.uuid4().hex}{SUFFIX}"
            path = os.path.join(self.path, name)
            self._own = _close_with(self, open(path, "xb", buffering=0))
            self._files.append(_close_with(self, open(path, "rb")))
        start = write_frame(self._own, digests, rows)
        self._learn(len(self._files) - 1, digests, start)

    def read(self, places: np.ndarray) -> np.ndarray:
        """Read rows.

        Args:
            places: As `find` gives them.

        Returns:
            An array of dtype `row`.

        Raises:
            OSError: If a file has become shorter.
        """
        rows = np.empty(len(places), self.row)
        parts = rows.view("uint8").reshape(len(rows), self.row.itemsize)
        with self._lock:
            for part, (number, start) in zip(parts, places, strict=True):
                file = self._files[number]
                file.seek(start)
                if file.readinto(part) != len(part):
                    raise OSError(
                        "A file of cached features has become shorter while "
                        f"it was in use. Received: {file.name}"
                    )
        return rows

    def touch(self, places: np.ndarray) -> None:
        """Note that the files of some rows were used now."""
        for number in np.unique(places[places[:, 0] >= 0, 0]):
            with contextlib.suppress(OSError):
                os.utime(self._files[number].name)

    def forget(self) -> None:
        """Remove all rows."""
        for path in self.files:
            with contextlib.suppress(OSError):
                os.remove(path)
        self._known, self._own = [_NOTHING], None

    def forget_own(self) -> None:
        """Remove the rows that were added here. No others can follow."""
        if self._own is not None:
            with contextlib.suppress(OSError):
                os.remove(self._own.name)

    def _read_file(self, path: str) -> None:
        file = _close_with(self, open(path, "rb"))
        self._files.append(file)
        for digests, start in read_frames(file, self.row.itemsize):
            self._learn(len(self._files) - 1, digests, start)

    def _learn(self, number, digests, start) -> None:
        offsets = start + np.arange(len(digests)) * self.row.itemsize
        places = np.stack([np.full_like(offsets, number), offsets], axis=1)
        self._known.append((digests, places))


_NOTHING = (np.array([], DTYPE), np.zeros((0, 2), "int64"))


def _close_with(folder: FeatureFolder, file):
    weakref.finalize(folder, file.close)
    return file
