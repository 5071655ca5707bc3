"""Folders that stand for classes, and the image files in them."""

import collections
import os
import pathlib
from collections.abc import Iterator

from keras_transfer.data.image_decoding import SUFFIXES

_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}
SPLIT_NAMES = set("train training val valid validation test testing".split())


def list_image_folder(
    folder: str | os.PathLike,
) -> tuple[list[str], list[str], dict[str, int]]:
    """Lists the images in class folders without opening them.

    Args:
        folder: The folder that holds the class folders.

    Returns:
        Tuple `(paths, classes, left_out)`: the image files, sorted by class
        and path; the class of each; and how many files and folders of which
        kind were left out, for a message.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            "There is no such folder. Pass one that holds a folder of images "
            f"for each class. Received: folder={folder}"
        )
    paths, classes = [], []
    left_out = collections.Counter()
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith("."):
            continue
        if not os.path.isdir(path):
            if _suffix(name) in SUFFIXES:
                left_out["images outside the class folders"] += 1
            continue
        images = []
        for file in walk_files(path, folder):
            suffix = _suffix(file)
            if suffix in SUFFIXES:
                images.append(file)
            elif os.path.basename(file).lower() not in _SYSTEM_FILES:
                left_out[f"{suffix or 'suffixless'} files"] += 1
        if not images:
            left_out["folders without images"] += 1
        paths += sorted(images)
        classes += [name] * len(images)
    return paths, classes, dict(left_out)


def is_image_name(path: str) -> bool:
    """Tell by its suffix whether a file is taken for an image."""
    return _suffix(path) in SUFFIXES


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def walk_files(top: str, root: str) -> Iterator[str]:
    """Yields the files below `top`; links are followed, but never upwards."""
    real = pathlib.Path(top).resolve()
    seen = {real, *real.parents, pathlib.Path(root).resolve()}

    def fail(error):
        raise error

    walk = os.walk(top, followlinks=True, onerror=fail)
    for parent, folders, files in walk:
        wanted = []
        for name in sorted(folders):
            real = pathlib.Path(parent, name).resolve()
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                wanted.append(name)
        folders[:] = wanted
        for name in files:
            if not name.startswith("."):
                yield os.path.join(parent, name)


def check_classes(folder: str, classes: list[str], left_out: dict) -> None:
    """Refuse a folder that holds no two classes, and say what to do."""
    names = sorted(set(classes))
    if not names and "images outside the class folders" in left_out:
        advice = (
            "The images lie directly in the folder. Put those of each class "
            "into a folder of its own, named after the class."
        )
    elif not names:
        advice = (
            "There are no readable images here. Pass a folder that holds a "
            "folder of images for each class."
        )
    elif {name.lower() for name in names} <= SPLIT_NAMES:
        advice = (
            f"The folders {names} look like a finished split, not like "
            "classes. Load each with `validation_split=0`."
        )
    elif len(names) == 1:
        advice = (
            f"There is only one class, {names[0]!r}. Add another one or, if "
            "that folder itself holds the class folders, pass it instead."
        )
    else:
        return
    raise ValueError(f"{advice} Received: folder={folder}")
