"""Room for cached features on a disk."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable

from keras_transfer.caching.no_cut_error import NoRoomError

_FOLDER = re.compile("[0-9a-f]{32}")
# Features, and what engines keep, which may be unfinished.
_FILE = re.compile(
    r"\d+-[0-9a-f]{32}\.features"
    r"|(tensorflow|openvino|litert)-.+\.engine(\..+)?"
)
_SHARE = 0.9  # of what is free; the rest is for logs and checkpoints


def make_room(
    folder: str,
    needed: int,
    *,
    limit: int,
    keep: Iterable[str] = (),
) -> None:
    """Remove what was used least lately, until there is room.

    Nothing is removed where that would not suffice, and nothing that is not
    of a cache.

    Args:
        folder: The folder of all that is cached.
        needed: Bytes that are about to be written.
        limit: Bytes that all that is cached may have then.
        keep: Paths of files that stay.

    Raises:
        NoRoomError: If there is not enough room.
    """
    if not needed:
        return
    files = sorted(_list_files(folder))
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


def _list_files(folder: str) -> Iterable[tuple]:
    """List time of last use, path and size of the files of a cache."""
    for name in filter(_FOLDER.fullmatch, os.listdir(folder)):
        # Another process may have removed it.
        with contextlib.suppress(OSError):
            for entry in os.scandir(os.path.join(folder, name)):
                if _FILE.fullmatch(entry.name) and entry.is_file():
                    status = entry.stat()
                    yield status.st_mtime, entry.path, status.st_size
