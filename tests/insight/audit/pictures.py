"""Real pictures, and tables of them, for the tests of audits."""

import pathlib

import numpy as np
from PIL import Image

from keras_transfer.insight.audit.picture_table import SIDE, PictureTable

CLIPART = pathlib.Path(__file__).parents[3] / "examples/data/clipart14"


def open_clipart(name):
    return Image.open(CLIPART / f"{name}.jpg").convert("RGB")


def render(image):
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def make_table(images, classes=None, splits=None):
    """Make a table of pictures that are in no files."""
    count = len(images)
    return PictureTable(
        [f"picture {i}" for i in range(count)],
        list(classes or ["a"] * count),
        list(splits or [""] * count),
        np.stack([render(image) for image in images]),
        np.array([image.size for image in images]),
        [image.tobytes() for image in images],
        [""] * count,
        [""] * count,
        [],
        has_files=False,
    )
