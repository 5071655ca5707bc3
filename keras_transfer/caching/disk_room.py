"""Room for cached features on a disk."""

import contextlib
import os
import shutil
from collections.abc import Iterable

from keras_transfer.caching.no_cut_error import NoRoomError

_SHARE = 0.9  # of what is free; the rest is for logs and checkpoints


def make_room(
    folder: str,
    needed: int,
    *,
    limit: int,
    suffixes: tuple[str, ...],
    keep: Iterable[str] = (),
) -> None:
    """Remove what was used least lately, until there is room.

    Nothing is removed where that would not suffice.

    Args:
        folder: The folder of all that is cached.
        needed: Bytes that are about to be written.
        limit: Bytes that all that is cached may have then.
        suffixes: How the names of such files end; others stay, and do not
            count.
        keep: Paths of files that stay.

    Raises:
        NoRoomError: If there is not enough room.
    """
    files = sorted(_list_files(folder, suffixes))
    sizes = {path: size for _, path, size in files}
    free = int(_SHARE * shutil.disk_usage(folder).free)
    excess = max(sum(sizes.values()) + needed - limit, needed - free)
    if excess <= 0:
        return
    keep = set(keep)
    others = [path for _, path, _ in files if path not in keep]
    if sum(sizes[path] for path in others) < excess:
        raise NoRoomError(
            f"{needed / 1e6:,.1f} MB would be needed in {folder}, where all "
            f"that is cached may have {limit / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} MB may still be filled"
        )
    for path in others:
        if excess > 0:
            with contextlib.suppress(OSError):
                os.remove(path)
                excess -= sizes[path]


def _list_files(folder: str, suffixes) -> Iterable[tuple]:
    """List time of last use, path and size of the files of a cache."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            # Another process may have removed it.
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(suffixes):
                    status = os.stat(path)
                    yield status.st_mtime, path, status.st_size
