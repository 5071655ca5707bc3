"""Class folders of images to training and validation sets."""

import functools
import numbers
import os
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import PIL
import tensorflow as tf
from keras.src.utils import io_utils

from keras_transfer.data import image_decoding, splits
from keras_transfer.data.class_folders import (
    check_classes,
    list_image_folder,
)
from keras_transfer.data.example_digests import digest_texts
from keras_transfer.data.example_order import shuffle_numbers
from keras_transfer.data.image_stream import stream_images
from keras_transfer.data.split_keys import (
    find_groups,
    leave_out,
    link_files,
    make_key_function,
)

SPLIT_FILE = ".keras_transfer_split.json"


def load_image_folder(
    folder: str | os.PathLike,
    *,
    image_size: int | tuple[int, int] = (224, 224),
    batch_size: int = 32,
    validation_split: float = 0.2,
    seed: int = 0,
    background: str | tuple[int, int, int] = "white",
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    on_error: str = "raise",
    split_by: str | Callable[[str], str] = "content",
    split_file: str | os.PathLike | None = "auto",
    groups: Mapping[str, str] | None = None,
    exclude: Iterable[str] = (),
    memory_limit: int = 2 * 1024**3,
    max_pixels: int = image_decoding.MAX_PIXELS,
    verbose: bool = True,
) -> tuple[tf.data.Dataset, tf.data.Dataset | None]:
    """Loads class folders of images as training and validation sets.

    Each folder in `folder` is a class, and the images in it and below it are
    its examples:

    ```
    photos/
    ...cat/
    ......felix.jpg
    ......garden/tom.png
    ...dog/
    ......rex.webp
    ```

    JPEG, PNG, GIF, BMP, WebP, TIFF, PPM, JPEG 2000 and AVIF files are read,
    of any colour mode, with 8 or 16 bits, turned as their EXIF data says. Of
    an animation the first frame is taken. Every file is read and decoded
    before this function returns, so a broken one never stops training.
    Hidden files and folders, other files, and folders without images are left
    out.

    **The split.** A file goes to validation if a hash of its content and
    `seed` says so. Adding files therefore never moves another one, and exact
    copies are always on the same side. Each class gives the same share, but
    for chance: of 50 images at 0.2, 10 give or take 3. A class with at least
    two different images that no other class has is always on both sides:
    where the hash says otherwise one image changes sides, which is written to
    `split_file` so that it holds when files are added.

    **Memory.** Decoded and resized images are kept as `uint8` up to
    `memory_limit`; those beyond it are decoded again in every epoch.

    Example:

    ```python
    train, validation = load_image_folder("photos", image_size=(160, 160))
    model.fit(train, validation_data=validation, epochs=5)
    print(train.class_names)  # ["cat", "dog"]
    ```

    Args:
        folder: The folder that holds the class folders.
        image_size: Tuple `(height, width)`, or an integer for both. Images
            are resized to it, bilinear with antialiasing. Defaults to
            `(224, 224)`.
        batch_size: Images a batch; the last one may be smaller. Defaults to
            `32`.
        validation_split: Float in [0, 1), the share of each class held back
            for validation. With `0` there is no validation set. Defaults to
            `0.2`.
        seed: Non-negative integer. Decides the split and, whatever the
            global seed, the order of training in each epoch. Defaults to `0`.
        background: The colour put behind transparent pixels and beside
            padded images: a name, a hex code, or a tuple of three integers
            in [0, 255]. Defaults to `"white"`.
        crop_to_aspect_ratio: Whether to keep the aspect ratio by cropping to
            the largest centred window. Defaults to `False`: images are
            stretched to `image_size`.
        pad_to_aspect_ratio: Whether to keep the aspect ratio by padding with
            `background`. Defaults to `False`.
        on_error: What to do about files that cannot be read. `"raise"`
            refuses, with a list of all of them. `"skip"` leaves them out and
            prints the list. Defaults to `"raise"`.
        split_by: What files must have in common to stay on the same side:
            `"content"`, `"name"` (the file name without folder and suffix)
            or a function that is given the path inside `folder` and returns
            a string, such as the patient's name. Defaults to `"content"`.
        split_file: Where to remember the sides of classes so small that the
            hash left one side empty; nothing is written if there are none.
            `"auto"` is `.keras_transfer_split.json` in `folder`. With `None`,
            or `"auto"` and a folder that is read-only, the hash alone
            decides, and small classes may be missing from one side. Defaults
            to `"auto"`.
        groups: Files that belong together, on whichever side, besides those
            that `split_by` keeps together and exact copies: the report of
            `audit_images`, or a dictionary from paths (absolute or inside
            `folder`) to names of groups. Files in no group stay where they
            were without. Defaults to `None`.
        exclude: Paths to leave out, absolute or inside `folder`, as
            `report.exclude()` gives them. Defaults to none.
        memory_limit: Bytes of decoded images to keep. Defaults to 2 GiB,
            which is 14,000 images of 224 x 224.
        max_pixels: An image with more pixels counts as unreadable, so that a
            huge one cannot exhaust memory. Above 178 million, Pillow's own
            limit holds too. Defaults to 89 million.
        verbose: Whether to print what was found, skipped and left out.
            Defaults to `True`.

    Returns:
        Tuple `(train, validation)` of `tf.data.Dataset`, with batches
        `(images, labels)`: `float32` of shape
        `(batch_size, height, width, 3)` in [0, 255], and `int32` of shape
        `(batch_size,)`. Training images come in a new order every epoch,
        validation images sorted by path. Both have `class_names`, the sorted
        names of the class folders, and `file_paths`, the paths sorted.
        `validation` is `None` if `validation_split` is `0`.

    Raises:
        FileNotFoundError: If `folder` is not a folder.
        ValueError: If there are fewer than two classes, if one of the sets
            would be empty, if files cannot be read and `on_error="raise"`, or
            if an argument is out of range.
    """
    if isinstance(image_size, numbers.Integral):
        image_size = (image_size, image_size)
    _require(
        isinstance(image_size, (tuple, list))
        and len(image_size) == 2
        and all(_is_whole(side, 1) for side in image_size),
        "a positive integer, or a tuple (height, width) of two",
        image_size=image_size,
    )
    _require(
        _is_whole(batch_size, 1), "a positive integer", batch_size=batch_size
    )
    _require(
        isinstance(validation_split, numbers.Real)
        and 0 <= validation_split < 1,
        "a number, at least 0 and below 1",
        validation_split=validation_split,
    )
    _require(_is_whole(seed, 0), "an integer, 0 or more", seed=seed)
    _require(
        not (crop_to_aspect_ratio and pad_to_aspect_ratio),
        "`False` where `crop_to_aspect_ratio` is `True`",
        pad_to_aspect_ratio=pad_to_aspect_ratio,
    )
    _require(
        on_error in ("raise", "skip"), '"raise" or "skip"', on_error=on_error
    )
    _require(
        _is_whole(memory_limit, 0),
        "a number of bytes, 0 or more",
        memory_limit=memory_limit,
    )
    folder = os.fspath(folder)
    read = functools.partial(
        image_decoding.read_image,
        image_size=tuple(image_size),
        background=image_decoding.parse_background(background),
        crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio,
        max_pixels=max_pixels,
    )
    key_of = make_key_function(split_by, folder)
    keys, contents = {}, {}

    def read_with_key(path):
        pixels = read(path)
        # Right after decoding, the file still is in the system's cache.
        content = contents[path] = splits.content_key(path)
        if validation_split:
            keys[path] = content if key_of is None else key_of(path)
        return pixels

    paths, classes, left_out = list_image_folder(folder)
    if groups is not None:
        groups = find_groups(groups, paths, folder)
    if unwanted := leave_out(exclude, paths, folder):
        wanted = [i for i, path in enumerate(paths) if path not in unwanted]
        paths = [paths[i] for i in wanted]
        classes = [classes[i] for i in wanted]
        left_out["excluded images"] = len(unwanted)
    check_classes(folder, classes, left_out)
    room = memory_limit // (3 * image_size[0] * image_size[1])
    kept = np.empty((min(len(paths), room), *image_size, 3), "uint8")
    reasons = image_decoding.read_images(paths, read_with_key, kept)
    notes = []
    if any(reasons):
        notes.append(_list_unreadable(folder, paths, reasons, on_error))
    rows = np.array([i for i, reason in enumerate(reasons) if not reason], int)
    paths = [paths[i] for i in rows]
    classes = [classes[i] for i in rows]
    check_classes(folder, classes, left_out)
    class_names = sorted(set(classes))
    number_of = {name: number for number, name in enumerate(class_names)}
    labels = np.array([number_of[name] for name in classes], "int32")

    in_validation = np.zeros(len(paths), bool)
    if validation_split:
        automatic = split_file == "auto"
        path = os.path.join(folder, SPLIT_FILE) if automatic else split_file
        in_validation[:], written = splits.remembered_split(
            classes,
            [keys[image] for image in paths],
            validation_split=validation_split,
            seed=seed,
            path=path,
            must_write=not automatic,
            links=groups and link_files(groups, paths, contents),
        )
        notes += _describe_missing(folder, classes, in_validation)
        if written:
            notes.append(f"Small classes: their split is kept in {path}.")
    if verbose:
        if left_out:
            kinds = [f"{count} {kind}" for kind, count in left_out.items()]
            notes.append(f"Left out: {', '.join(kinds)}.")
        held_back = int(in_validation.sum())
        summary = (
            f"Found {len(paths)} images of {len(class_names)} classes, "
            f"{held_back} of them for validation."
        )
        io_utils.print_msg("\n".join([summary, *notes]))

    digests = digest_texts(
        [
            f"{contents[path]} {label} {read.keywords} {PIL.__version__}"
            for path, label in zip(paths, labels, strict=True)
        ]
    )
    held_back = np.flatnonzero(in_validation)
    rest = np.flatnonzero(~in_validation)
    stream = functools.partial(
        stream_images,
        rows=rows,
        labels=labels,
        paths=paths,
        read=read,
        kept=kept,
        digests=digests,
        batch_size=batch_size,
    )
    train = stream(shuffle_numbers(rest, seed), indices=rest)
    validation = stream(
        tf.data.Dataset.from_tensor_slices(held_back), indices=held_back
    )
    for dataset, indices in ((train, rest), (validation, held_back)):
        dataset.class_names = class_names
        dataset.file_paths = [paths[i] for i in indices]
    return train, validation if validation_split else None


def _is_whole(value, least):
    return isinstance(value, numbers.Integral) and value >= least


def _require(valid, rule, **argument):
    if not valid:
        [(name, value)] = argument.items()
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def _list_unreadable(folder, paths, reasons, on_error):
    lines = [f"  {p}: {r}" for p, r in zip(paths, reasons, strict=True) if r]
    listing = "\n".join(lines)
    if on_error == "raise":
        raise ValueError(
            f"{len(lines)} of {len(paths)} image files cannot be read:\n"
            f"{listing}\nRepair or remove them, or leave them out with "
            f'`on_error="skip"`. Received: folder={folder}'
        )
    return f"Skipped {len(lines)} files that cannot be read:\n{listing}"


def _describe_missing(folder, classes, in_validation):
    notes = []
    for side, name in ((False, "training"), (True, "validation")):
        found = {
            c for c, v in zip(classes, in_validation, strict=True) if v == side
        }
        if not found:
            raise ValueError(
                f"There are too few images for a {name} set. Add some, or "
                "change `validation_split` (0 for no validation set). "
                f"Received: folder={folder}"
            )
        if missing := sorted(set(classes) - found):
            notes.append(f"No {name} images of: {', '.join(missing)}.")
    return notes
