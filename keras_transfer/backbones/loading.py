"""Load a pretrained backbone from any source."""

import dataclasses
import os

import keras

from keras_transfer.backbones.applications import (
    application_names,
    load_application,
)
from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.efficientnet_lite import EfficientNetLite0
from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.own_model import load_own_model
from keras_transfer.backbones.preprocessing import make_preprocessing

_BUNDLED = "bundled:efficientnet_lite0"


def list_backbones() -> list[str]:
    """List the names that `load_backbone` knows.

    TF Hub handles, folders and models of one's own come on top.

    Returns:
        The names, the bundled ones first.
    """
    return [_BUNDLED, *application_names()]


def load_backbone(
    source: str | keras.Model,
    *,
    input_shape: tuple[int | None, ...] | None = None,
    weights: str | None = "imagenet",
    preprocess: keras.layers.Layer | None = None,
) -> Backbone:
    """Load a pretrained network without its head.

    Example:

    ```python
    kt.load_backbone("bundled:efficientnet_lite0")     # no download
    kt.load_backbone("MobileNetV2", input_shape=(160, 160, 3))
    kt.load_backbone("https://tfhub.dev/google/imagenet/…/feature_vector/5")
    kt.load_backbone(my_keras_model)
    ```

    Args:
        source: A name from `list_backbones`; a TF Hub handle (a URL, or a
            folder with a `saved_model.pb`); or a built `keras.Model`, whose
            head is taken off if it ends in a softmax or sigmoid layer.
        input_shape: Shape of one input, such as `(160, 160, 3)`. By default
            the size at which the network was trained; for a TF Hub handle
            224 x 224 unless the module says otherwise.
        weights: `"imagenet"`, `None` for random weights, or the path of a
            weights file for the network without its top. For named networks
            only: a TF Hub module or a model brings its own.
        preprocess: A layer from raw inputs to those of the network, in place
            of the network's own.

    Returns:
        A `Backbone`: `.model`, `.preprocess`, `.groups`, `.input_shape`,
        `.feature_dim`, `.modality`, `.source`.

    Raises:
        ValueError: If the source is not known, or another argument does not
            fit it.
        OSError: If something cannot be downloaded.
        ImportError: If the package with the bundled weights is missing.
    """
    named = isinstance(source, str) and source in list_backbones()
    if not named and weights != "imagenet":
        raise ValueError(
            "`weights` is for named networks; a TF Hub module or a model "
            f"brings its own. Received: weights={weights!r}, source={source!r}"
        )
    if not (input_shape is None or isinstance(input_shape, tuple | list)):
        raise ValueError(
            "`input_shape` must be a tuple, without the batch dimension. "
            f"Received: input_shape={input_shape!r}"
        )
    if isinstance(source, keras.Model):
        return load_own_model(source, input_shape, preprocess)
    if source == _BUNDLED:
        backbone = _load_bundled(input_shape, weights)
    elif named:
        backbone = load_application(source, input_shape, weights)
    elif isinstance(source, str | os.PathLike) and _is_handle(str(source)):
        backbone = _load_hub(str(source), input_shape)
    else:
        raise ValueError(
            "`source` must be a TF Hub handle (a URL or a folder with a "
            "saved_model.pb), a keras.Model, or one of: "
            f"{', '.join(list_backbones())}. Received: source={source!r}"
        )
    if preprocess is not None:
        return dataclasses.replace(backbone, preprocess=preprocess)
    return backbone


def _is_handle(source: str) -> bool:
    return "://" in source or os.path.isdir(source)


def _load_bundled(input_shape, weights) -> Backbone:
    model = EfficientNetLite0(
        include_top=False,
        weights="bundled" if weights == "imagenet" else weights,
        input_shape=input_shape or (224, 224, 3),
    )
    return Backbone(model, make_preprocessing("lite"), source=_BUNDLED)


def _load_hub(handle: str, input_shape) -> Backbone:
    layer = HubLayer(handle)
    known = layer.saved_input_shape
    if input_shape is None and known and None not in known:
        input_shape = known
    inputs = keras.Input(input_shape or (224, 224, 3))
    model = keras.Model(inputs, layer(inputs), name="hub_module")
    return Backbone(model, make_preprocessing("unit"), source=handle)
