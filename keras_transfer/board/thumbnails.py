"""Thumbnails of whatever a model takes for images."""

from collections.abc import Sequence

import numpy as np


def make_thumbnails(
    images: Sequence[np.ndarray], side: int
) -> list[np.ndarray]:
    """Make pictures of one size from images of any size and scale.

    Floats are in 0..255, 0..1 or -1..1, by the range of all images together.
    What is in none of these, as images with a mean of 0 and a deviation of 1,
    is stretched from its least to its largest value.

    Args:
        images: Arrays `(height, width)` or `(height, width, channels)` with
            1, 3 or 4 channels; the fourth is opacity.
        side: Width and height that a thumbnail fits in.

    Returns:
        `uint8` arrays `(height, width, 3)`, as wide or as high as `side`,
        with the aspect of the images.

    Raises:
        ValueError: If an image is of another shape.
    """
    images = [np.asarray(image) for image in images]
    for image in images:
        if not _is_image(image):
            raise ValueError(
                "Images must be of shape `(height, width)` or `(height, "
                "width, channels)`, with 1, 3 or 4 channels. "
                f"Received: image of shape {image.shape}"
            )
    low, high = _find_range(images)
    return [
        _resize(_as_rgb(image, *_own_range(image, low, high)), side)
        for image in images
    ]


def _is_image(image) -> bool:
    return (
        image.ndim in (2, 3)
        and image.size > 0
        and (image.ndim == 2 or image.shape[2] in (1, 3, 4))
    )


def _find_range(images) -> tuple[float, float]:
    """Tell from their values what black and white are.

    Resizing with overshoot may have taken some values a little over the edge.
    """
    values = [image for image in images if image.dtype != np.uint8]
    values = [v[np.isfinite(v)] for v in map(_as_floats, values)]
    low = min((v.min() for v in values if v.size), default=0)
    high = max((v.max() for v in values if v.size), default=255)
    if high > 10:
        return 0, 255
    if low < -1.5 or high > 1.5:
        return low, high
    return (-1, 1) if low < -0.2 else (0, 1)


def _own_range(image, low, high) -> tuple[float, float]:
    return (0, 255) if image.dtype == np.uint8 else (low, high)


def _as_floats(image) -> np.ndarray:
    return np.asarray(image).astype("float32")


def _as_rgb(image, low, high) -> np.ndarray:
    image = image if image.ndim == 3 else image[..., None]
    image = (_as_floats(image) - low) / max(high - low, 1e-6)
    image = np.clip(np.nan_to_num(image), 0, 1)
    if image.shape[2] == 4:
        opacity = image[..., 3:]
        image = image[..., :3] * opacity + 1 - opacity
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.round(255 * image).astype("uint8")


def _resize(image, side: int) -> np.ndarray:
    from PIL import Image

    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = tuple(max(round(length * scale), 1) for length in (width, height))
    # The pixels of a small image are to be seen as they are.
    kind = "NEAREST" if scale >= 2 else "LANCZOS"
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, Image.Resampling[kind]))
