"""Pictures with what speaks for a class laid over them."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.board.drawing import (
    FAINT,
    new_canvas,
    render,
    text_size,
    write,
)
from keras_transfer.board.example_grid import (
    Caption,
    draw_thumbnails,
    thumbnail_side,
)
from keras_transfer.board.thumbnails import make_thumbnails

# In every kind of colour blindness it differs from grey and from the frames.
_COLORS, _OPACITY = "viridis", 0.8
_COLUMNS, _GAP = 2, 2
_LEGEND, _LEFT, _TEXT = 46, 20, 19
_BAR, _BAR_HEIGHT = 120, 16


def draw_grad_cam(
    images: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    captions: Sequence[Caption],
    title: str,
) -> np.ndarray:
    """Draw images in rows of two, each with what speaks for a class.

    Beside each image, or below where images are wide, it stands once more in
    grey, coloured from violet by green to yellow the more a place speaks for
    the class. Captions and frames are those of `draw_example_grid`.

    Example:

    ```python
    maps = grad_cam(model, images)
    title = "What speaks for the predicted class (block_16)"
    picture = draw_grad_cam(images, maps, captions, title)
    ```

    Args:
        images: As for `make_thumbnails`.
        maps: For each image an array `(rows, columns)` of any size, with
            values in [0, 1], as `grad_cam` returns them.
        captions: A `Caption` for each image, or such a tuple.
        title: What the picture is headed with: which layer group and class
            it is about.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`. Without images it
        says so.

    Raises:
        ValueError: If there is not one map and one caption for each image, or
            one of them is of another shape.
    """
    shapes = [np.shape(heat) for heat in maps]
    if len(images) != len(maps) or any(len(shape) != 2 for shape in shapes):
        raise ValueError(
            "There must be a map of shape `(rows, columns)` for each image. "
            f"Received: {len(images)} images, maps of shapes {shapes}"
        )
    if not len(images):
        return draw_thumbnails([], captions, title, 1)
    thumbnails, axis = _make_halves(images)
    pairs = [
        _join(thumbnail, _lay_over(thumbnail, heat), axis)
        for thumbnail, heat in zip(thumbnails, maps, strict=True)
    ]
    columns = min(len(pairs), _COLUMNS)
    picture = draw_thumbnails(pairs, captions, title, columns)
    return np.vstack([picture, _draw_legend(picture.shape[1])])


def _make_halves(images) -> tuple[list, int]:
    """Make thumbnails two of which fit in one, and tell along which axis."""
    side = thumbnail_side(_COLUMNS)
    thumbnails = make_thumbnails(images, side)
    lengths = np.max([picture.shape[:2] for picture in thumbnails], axis=0)
    half = (side - _GAP) // 2
    axis = 0 if lengths[0] < lengths[1] else 1
    side = min(side * half // lengths[axis], side)
    return make_thumbnails(images, int(side)), axis


def _lay_over(image, heat) -> np.ndarray:
    import matplotlib
    from PIL import Image

    heat = Image.fromarray(np.asarray(heat, "float32"))
    heat = heat.resize(image.shape[1::-1], Image.Resampling.BICUBIC)
    # It overshoots.
    heat = np.clip(np.nan_to_num(heat), 0, 1)
    colors = 255 * matplotlib.colormaps[_COLORS](heat)[..., :3]
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    opacity = _OPACITY * heat[..., None]
    return np.round(grey + opacity * (colors - grey)).astype("uint8")


def _join(image, overlay, axis: int) -> np.ndarray:
    shape = list(image.shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, "uint8")
    return np.concatenate([image, gap, overlay], axis)


def _draw_legend(width: int) -> np.ndarray:
    canvas = new_canvas(width, _LEGEND)
    least, most = "Speaks for the class:  not at all", "most in its image"
    start = _LEFT + round(text_size(canvas, [least], _TEXT)[0]) + 8
    middle = _LEGEND // 2
    write(canvas, _LEFT, middle, least, _TEXT, color=FAINT)
    write(canvas, start + _BAR + 8, middle, most, _TEXT, color=FAINT)
    legend = render(canvas)
    grey = np.full((_BAR_HEIGHT, _BAR, 3), 170, "uint8")
    top = middle - _BAR_HEIGHT // 2
    legend[top : top + _BAR_HEIGHT, start : start + _BAR] = _lay_over(
        grey, np.linspace(0, 1, _BAR)[None]
    )
    return legend
