"""Where and how features are kept."""

import dataclasses
import os

from keras.src.backend.config import keras_home

DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Where cached features are kept, and in what precision.

    Without a folder they are kept in memory, and where that does not suffice,
    in `~/.keras/keras_transfer_features`. In a folder they stay: the same
    frozen part, with the same weights, never computes the same example again,
    in whatever process and data set. Any number of processes may share it.
    What was used least lately is removed first where there is no room.

    Example:

    ```python
    cache = kt.FeatureCache("features", disk_limit=5 * 1024**3)
    kt.fine_tune(model, train, validation, cache=cache)
    ```

    Args:
        folder: The folder. Defaults to `None`: as above.
        memory_limit: How many bytes of memory features of one data set may
            use while they are computed. Defaults to `None`: half of what is
            free then.
        disk_limit: How many bytes all features in the folder may have.
            Defaults to 20 GiB. Nine tenths of what is free on the disk are
            never exceeded.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`, in which features are
            kept; they are used in the model's own. `"auto"` keeps float32
            where there is room for it, in memory or on disk, with the same
            result as without a cache; else float16, which rounds to 3 digits,
            and to less below 6e-5;
            else, where values are beyond its range of 65504, bfloat16, which
            rounds to 2. Defaults to `"auto"`.

    Raises:
        ValueError: If an argument is not as described.
    """

    folder: str | os.PathLike | None = None
    memory_limit: int | None = None
    disk_limit: int = 20 * 1024**3
    dtype: str = "auto"

    def __post_init__(self):
        if self.folder == "" or not isinstance(
            self.folder, str | os.PathLike | None
        ):
            raise ValueError(
                "A cache is a folder, or `kt.FeatureCache(...)`. "
                f"Received: folder={self.folder!r}"
            )
        if self.dtype not in DTYPES:
            raise ValueError(
                f"`dtype` must be one of {DTYPES}. "
                f"Received: dtype={self.dtype!r}"
            )
        for name in ("memory_limit", "disk_limit"):
            limit = getattr(self, name)
            if limit is None and name == "memory_limit":
                continue
            if isinstance(limit, bool) or not hasattr(limit, "__index__"):
                limit = -1
            if limit < 0:
                raise ValueError(
                    f"`{name}` must be a number of bytes, 0 or more. "
                    f"Received: {name}={getattr(self, name)!r}"
                )

    @classmethod
    def of(cls, cache) -> "FeatureCache":
        """Take a folder, or `None`, for a cache."""
        return cache if isinstance(cache, cls) else cls(cache)

    @property
    def path(self) -> str:
        """The folder, or the usual one."""
        if self.folder is not None:
            return os.path.realpath(os.path.expanduser(self.folder))
        return os.path.join(keras_home(), "keras_transfer_features")
