"""Points for TensorBoard's projector, with a picture of each."""

import contextlib
import os
from collections.abc import Mapping, Sequence

import numpy as np

_CONFIG = "projector_config.pbtxt"
_METADATA, _SPRITE = "metadata.tsv", "sprite.png"


def write_points(folder: str, name: str, points: np.ndarray) -> None:
    """Write points to a file of their own.

    Args:
        folder: Folder of the projector; it is made.
        name: What TensorBoard calls them.
        points: An array `(examples, features)`.
    """
    os.makedirs(folder, exist_ok=True)
    # Four digits are more than can be seen, and make half the file.
    lines = ("\t".join(map("{:.4g}".format, row)) for row in points.tolist())
    _write(os.path.join(folder, _file_of(name)), "\n".join(lines) + "\n")


def rotate_points(points: np.ndarray, features: int) -> np.ndarray:
    """Describe points by fewer features, with all distances as they were.

    As many points as there are span no more dimensions than that: these are
    their principal axes.

    Args:
        points: An array `(examples, features)`.
        features: How many features may stay as they are.

    Returns:
        An array `(examples, at most as many)`, or the points
        themselves where they have no more features than may stay.
    """
    if points.shape[1] <= features:
        return points
    left, sizes, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    return left * sizes


def count_points(folder: str, name: str) -> int:
    """Count the points of that name that have been written."""
    path = os.path.join(folder, _file_of(name))
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)


def discard_points(folder: str, name: str) -> None:
    """Remove points, and their folder if nothing else is there.

    Points of a projector that is complete stay.
    """
    if not os.path.exists(os.path.join(folder, _CONFIG)):
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, _file_of(name)))
            os.rmdir(folder)


def write_projector(
    folder: str,
    names: Sequence[str],
    columns: Mapping[str, Sequence],
    thumbnails: Sequence[np.ndarray] | None,
    side: int,
) -> None:
    """Make a projector of points that have been written.

    Args:
        folder: Folder of the projector. TensorBoard finds it if it holds an
            event file.
        names: Names of the points. All are of the same examples.
        columns: What is known of each example, by what that is called; two
            at least.
        thumbnails: A `uint8` picture `(height, width, 3)` of each example, no
            side longer than `side`; `None` if they are no images.
        side: Width and height of the place that each has.
    """
    from google.protobuf import text_format
    from tensorboard.plugins import projector

    _write(os.path.join(folder, _METADATA), _as_table(columns))
    if thumbnails is not None:
        _write_sprite(os.path.join(folder, _SPRITE), thumbnails, side)
    config = projector.ProjectorConfig()
    for name in names:
        embedding = config.embeddings.add()
        embedding.tensor_name = name
        embedding.tensor_path = _file_of(name)
        embedding.metadata_path = _METADATA
        if thumbnails is not None:
            embedding.sprite.image_path = _SPRITE
            embedding.sprite.single_image_dim.extend([side, side])
    text = text_format.MessageToString(config)
    _write(os.path.join(folder, _CONFIG), text)


def _file_of(name: str) -> str:
    return f"{name.replace(' ', '_')}.tsv"


def _as_table(columns) -> str:
    lines = [columns, *zip(*columns.values(), strict=True)]
    clean = [[" ".join(str(cell).split()) for cell in line] for line in lines]
    return "".join("\t".join(line) + "\n" for line in clean)


def _write_sprite(path, thumbnails, side) -> None:
    from PIL import Image

    columns = int(np.ceil(np.sqrt(len(thumbnails))))
    # TensorBoard wants a square, of as many rows as columns.
    sheet = Image.new("RGB", (columns * side, columns * side), "white")
    for number, picture in enumerate(thumbnails):
        row, column = divmod(number, columns)
        height, width = picture.shape[:2]
        x = column * side + (side - width) // 2
        y = row * side + (side - height) // 2
        sheet.paste(Image.fromarray(picture), (x, y))
    sheet.save(path, optimize=True)


def _write(path: str, text: str) -> None:
    # A training that is killed leaves a whole file or none.
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.part", path)
