"""All pictures of a data set, small, with what is known of their files."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from keras_transfer.data import image_decoding
from keras_transfer.data.class_folders import (
    SPLIT_NAMES,
    is_image_name,
    list_image_folder,
    walk_files,
)
from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.data.labelled_data import (
    class_numbers,
    find_class_names,
    read_data,
)
from keras_transfer.insight.audit.file_faults import (
    find_stray_picture,
    read_facts,
)
from keras_transfer.insight.audit.finding import Finding

SIDE = 128


@dataclasses.dataclass(frozen=True, eq=False)
class PictureTable:
    """All pictures of a data set, a row each.

    Attributes:
        paths: The file of each, or a name such as "train example 7".
        classes: The name of each one's class.
        splits: The name of each one's split; `""` where there is only one.
        pictures: `uint8` `(rows, SIDE, SIDE, 3)`, stretched; zeros where a
            file cannot be read.
        sizes: Width and height of each, upright, `(rows, 2)`.
        digests: A digest of each one's bytes.
        formats: Pillow's name of each one's format; `""` without files.
        reasons: Why each cannot be read; `""` if it can.
        strays: `(path, class, split, detail)` of pictures that are not loaded
            because of their names.
        has_files: Whether rows are files.
    """

    paths: list[str]
    classes: list[str]
    splits: list[str]
    pictures: np.ndarray
    sizes: np.ndarray
    digests: list[bytes]
    formats: list[str]
    reasons: list[str]
    strays: list[tuple[str, str, str, str]]
    has_files: bool

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def readable(self) -> np.ndarray:
        """The numbers of the rows with a picture."""
        return np.flatnonzero([not reason for reason in self.reasons])

    def describe(
        self, kind: str, rows: Sequence[int], detail: str, score: float = 1.0
    ) -> Finding:
        """Make a finding about some of the rows."""
        columns = (self.paths, self.classes, self.splits)
        about = (tuple(column[row] for row in rows) for column in columns)
        return Finding(kind, *about, detail, float(score))


def read_pictures(data) -> PictureTable:
    """Read all pictures, once.

    Args:
        data: As for `audit_images`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If data is of another kind, or there are no pictures.
    """
    if isinstance(data, str | os.PathLike):
        return _read_files(*_list_folder(os.fspath(data)))
    parts = [part for part in read_data(data) if part is not None]
    names = ["train", "validation"] if len(parts) == 2 else [""]
    if all(hasattr(part, "file_paths") for part in parts):
        return _read_files(*_list_loaded(parts, names), [])
    return _read_examples(parts, names)


def _list_folder(folder: str) -> tuple[list, list, list, list]:
    """List files, classes, splits, and pictures that are not loaded."""
    places = {"": folder}
    if os.path.isdir(folder):
        names = [
            name
            for name in sorted(os.listdir(folder))
            if not name.startswith(".")
            and os.path.isdir(os.path.join(folder, name))
        ]
        if names and {name.lower() for name in names} <= SPLIT_NAMES:
            places = {name: os.path.join(folder, name) for name in names}
    paths, classes, splits, strays = [], [], [], []
    for split, place in places.items():
        found, its_classes, _ = list_image_folder(place)
        paths += found
        classes += its_classes
        splits += [split] * len(found)
        for name in sorted(os.listdir(place)):
            top = os.path.join(place, name)
            if name.startswith(".") or not os.path.isdir(top):
                continue
            for path in sorted(walk_files(top, place)):
                if not is_image_name(path):
                    if detail := find_stray_picture(path):
                        strays.append((path, name, split, detail))
    if not paths and not strays:
        raise ValueError(
            "There are no pictures here. Pass a folder that holds a folder of "
            "pictures for each class, or folders `train`, `validation`, `test` "
            f"of those. Received: data={folder}"
        )
    return paths, classes, splits, strays


def _list_loaded(parts, names) -> tuple[list, list, list]:
    paths, classes, splits = [], [], []
    for part, name in zip(parts, names, strict=True):
        order = part.example_order
        paths += part.file_paths
        classes += [part.class_names[label] for label in order.labels]
        splits += [name] * len(part.file_paths)
    return paths, classes, splits


def _read_files(paths, classes, splits, strays) -> PictureTable:
    facts = {}

    def read(path):
        facts[path] = read_facts(path)
        pixels = image_decoding.read_image(path, (SIDE, SIDE))
        if facts[path].fault:
            raise image_decoding.UnreadableImageError(facts[path].fault)
        return pixels

    pictures = np.zeros((len(paths), SIDE, SIDE, 3), "uint8")
    reasons = image_decoding.read_images(paths, read, pictures)
    known = [facts.get(path) for path in paths]
    return PictureTable(
        list(paths),
        list(classes),
        list(splits),
        pictures,
        np.array([f.size if f else (0, 0) for f in known]).reshape(-1, 2),
        [f.digest if f else b"" for f in known],
        [f.format if f else "" for f in known],
        reasons,
        strays,
        has_files=True,
    )


def _read_examples(parts, names) -> PictureTable:
    paths, labels, splits, sizes, digests, pictures = [], [], [], [], [], []
    scale = None
    for part, name in zip(parts, names, strict=True):
        count = 0
        for x, y in iterate_batches(part):
            if keras.tree.is_nested(x) or len(x.shape) != 4:
                raise ValueError(
                    "Examples must be pictures: arrays (height, width, "
                    f"channels). Received: data={part!r}"
                )
            x = keras.ops.convert_to_numpy(x)
            if scale is None:
                scale = _find_scale(x)
            for image in x:
                digests.append(hashlib.sha256(image.tobytes()).digest())
                pictures.append(_render(image, scale))
                sizes.append(image.shape[1::-1])
                paths.append(f"{name} example {count}".strip())
                splits.append(name)
                count += 1
            labels.append(keras.ops.convert_to_numpy(y))
    if not paths:
        raise ValueError(f"There are no examples. Received: data={parts}")
    numbers = class_numbers(np.concatenate(labels))
    known = find_class_names(parts[0], int(numbers.max()) + 1)
    count = len(paths)
    return PictureTable(
        paths,
        [str(known[number]) for number in numbers],
        splits,
        np.stack(pictures),
        np.array(sizes),
        digests,
        [""] * count,
        [""] * count,
        [],
        has_files=False,
    )


def _find_scale(x) -> tuple[float, float]:
    """Find what to multiply with and to add, to come to [0, 255]."""
    if x.dtype.kind != "f" or np.nanmax(x) > 1:
        return 1.0, 0.0
    return (127.5, 127.5) if np.nanmin(x) < 0 else (255.0, 0.0)


def _render(image, scale) -> np.ndarray:
    values = np.nan_to_num(image.astype("float32")) * scale[0] + scale[1]
    values = np.clip(np.rint(values), 0, 255).astype("uint8")
    if values.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    if values.shape[-1] not in (3, 4):
        raise ValueError(
            "Pictures must have 1, 3 or 4 channels. "
            f"Received: pictures of shape {image.shape}"
        )
    picture = Image.fromarray(values)
    if picture.mode == "RGBA":
        behind = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(behind, picture).convert("RGB")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
