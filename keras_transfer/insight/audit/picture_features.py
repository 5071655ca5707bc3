"""What a pretrained network sees of small pictures."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from PIL import Image

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.caching.cache_features import cache_features
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.pooled_features import pooled_features
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.image_decoding import WORKERS

_BATCH_SIZE = 64
_MARGIN = 10  # of 255: below, a border has one colour
_LEAST_LEFT = 16  # rows and columns, or there is nothing to see


def compute_features(
    backbone: Backbone,
    pictures: np.ndarray,
    *,
    cache: FeatureCache | str | os.PathLike | None = None,
) -> np.ndarray:
    """Compute features of pictures, averages and maxima over all places.

    Borders of one colour are cut off first, and maxima tell more than averages
    where a drawing fills little of its sheet: both find wrong labels. Each
    half has a length of 1, so that neither outweighs the other.

    Args:
        backbone: From `load_backbone`.
        pictures: `uint8` `(examples, side, side, 3)`, resized to what the
            backbone takes.
        cache: A `FeatureCache`, or a folder to keep features in.

    Returns:
        `float32` `(examples, features)`.
    """
    output = backbone.model.output
    if len(output.shape) > 2:
        axes = tuple(range(1, len(output.shape) - 1))
        output = keras.layers.Concatenate()(
            [
                keras.ops.mean(output, axis=axes),
                keras.ops.max(output, axis=axes),
            ]
        )
        halves = 2
    else:
        halves = 1
    network = keras.Model(backbone.model.input, output)
    pooled = Backbone(network, backbone.preprocess, backbone.source)
    height, width = (
        size or len(pictures[0]) for size in backbone.input_shape[:2]
    )
    trim = functools.partial(trim_border, size=(width, height))
    with ThreadPoolExecutor(WORKERS) as pool:
        trimmed = np.stack(list(pool.map(trim, pictures)))
    data = batch_arrays((trimmed, np.zeros(len(trimmed), "int32")), _BATCH_SIZE)
    if cache is None:
        features, _ = pooled_features(pooled, data)
    else:
        kept = cache_features(pooled, data, cache=cache)
        features = np.concatenate([x.numpy() for x, _ in kept])
    parts = np.split(features, halves, axis=1)
    return np.concatenate([_normalize(part) for part in parts], axis=1)


def _normalize(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-9)


def trim_border(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut off a border of one colour, and resize what is left.

    Args:
        picture: `uint8` `(side, side, 3)`.
        size: Width and height of the result.
    """
    values = picture.astype("int16")
    differs = np.abs(values - values[0, 0]).max(axis=2) > _MARGIN
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    box = None
    if min(len(rows), len(columns)) >= _LEAST_LEFT:
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    image = Image.fromarray(picture)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
