"""What a pretrained network sees of small pictures."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from PIL import Image

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.caching.cache_features import cache_features
from keras_transfer.caching.feature_cache import FeatureCache
from keras_transfer.caching.group_outputs import find_group_outputs
from keras_transfer.caching.pooled_features import pooled_features
from keras_transfer.caching.unrolled_graph import unroll_graph
from keras_transfer.data.array_batches import batch_arrays
from keras_transfer.data.image_decoding import WORKERS

_BATCH_SIZE = 64
_MARGIN = 10  # of 255: below, a border has one colour
_LEAST_LEFT = 16  # rows and columns, or there is nothing to see
_MOST_FEATURES = 8192  # of a picture, but for those of the output


def compute_features(
    backbone: Backbone,
    pictures: np.ndarray,
    *,
    cache: FeatureCache | str | os.PathLike | None = None,
) -> np.ndarray:
    """Compute features of pictures, averages and maxima over all places.

    They are those of the layer groups of the upper half, as far as these show
    what they make. The topmost alone have forgotten much of how a picture is
    drawn, by which people file it; and maxima tell more than averages where a
    drawing fills little of its sheet, once borders of one colour are cut off.
    All of that finds wrong labels. Each part has a length of 1, so that none
    outweighs another.

    Args:
        backbone: From `load_backbone`.
        pictures: `uint8` `(examples, side, side, 3)`, resized to what the
            backbone takes.
        cache: A `FeatureCache`, or a folder to keep features in.

    Returns:
        `float32` `(examples, features)`.
    """
    network = keras.Model(backbone.model.input, _describe(backbone.model))
    describing = Backbone(network, backbone.preprocess, backbone.source)
    height, width = (
        size or len(pictures[0]) for size in backbone.input_shape[:2]
    )
    trim = functools.partial(trim_border, size=(width, height))
    with ThreadPoolExecutor(WORKERS) as pool:
        trimmed = np.stack(list(pool.map(trim, pictures)))
    data = batch_arrays((trimmed, np.zeros(len(trimmed), "int32")), _BATCH_SIZE)
    if cache is None:
        return pooled_features(describing, data)[0]
    kept = cache_features(describing, data, cache=cache)
    return np.concatenate([x.numpy() for x, _ in kept])


def _describe(model):
    """Return one symbolic tensor `(batch, features)`."""
    parts, size = [], 0
    for tensor in (model.output, *_list_outputs_below(model)):
        pooled = [tensor]
        if middle := tuple(range(1, len(tensor.shape) - 1)):
            pooled = [
                pool(tensor, axis=middle)
                for pool in (keras.ops.mean, keras.ops.max)
            ]
        size += sum(part.shape[-1] for part in pooled)
        if parts and size > _MOST_FEATURES:
            break
        parts += [keras.layers.UnitNormalization()(part) for part in pooled]
    return keras.layers.Concatenate()(parts) if parts[1:] else parts[0]


def _list_outputs_below(model):
    """List what the groups of the upper half but the last make, downwards.

    What is made inside a nested model is no tensor of this one, and left out.
    """
    graph = functional_graph(model)
    if graph is None:
        return []
    steps = unroll_graph(graph).steps
    own = {
        (0, id(tensor)): tensor
        for node in ordered_nodes(graph)
        for tensor in node.outputs
    }
    found = find_group_outputs(model, steps, lambda shape: len(shape) > 1)
    names = [group.name for group in layer_groups(model)]
    upper = names[len(names) // 2 : -1]
    keys = [found[name] for name in reversed(upper) if name in found]
    return [own[key] for key in keys if key in own]


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
