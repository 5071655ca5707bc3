"""Backbones from keras.applications."""

import inspect
import os
import re

import keras

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.backbones.preprocessing import make_preprocessing

# By the model's name, upper and lower case and "_" aside.
_CONVENTIONS = (
    (r"mobilenet(v2)?([\d.]+(none)?)?", "tf"),
    (r"nasnet(mobile|large)", "tf"),
    (r"inception(resnet)?v\d", "tf"),
    (r"xception", "tf"),
    (r"resnet\d+v2", "tf"),
    (r"resnet\d+", "caffe"),
    (r"vgg\d+", "caffe"),
    (r"densenet\d+", "torch"),
    (r"efficientnetlite\d", "lite"),  # ours
    # Families that hold their preprocessing inside.
    (r"mobilenetv3(small|large)", None),
    (r"efficientnet(v2)?-?[bsml]\d?", None),
    (r"convnext(tiny|small|x?large|base)", None),
)
_SIDES = {
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "NASNetLarge": 331,
    "Xception": 299,
}


def application_names() -> list[str]:
    """List the model functions of keras.applications."""
    return [
        name
        for name, value in inspect.getmembers(keras.applications)
        if inspect.isfunction(value)
    ]


def find_convention(model_name: str) -> tuple[bool, str | None]:
    """Look up how a network of keras.applications wants its images.

    Args:
        model_name: The name of a model function, or of a model made by one.

    Returns:
        Whether the name is one of theirs, and the convention, as for
        `make_preprocessing`.
    """
    plain = model_name.lower().replace("_", "")
    for pattern, convention in _CONVENTIONS:
        if re.fullmatch(pattern, plain):
            return True, convention
    return False, None


def load_application(
    name: str, input_shape: tuple | None, weights: str | None
) -> Backbone:
    """Load a backbone of keras.applications.

    Args:
        name: The name of a model function, such as `"MobileNetV2"`.
        input_shape: `(height, width, 3)`; the size that the network was
            trained at if `None`.
        weights: `"imagenet"`, `None` (random), or the path of a weights file
            for the network without its top.

    Returns:
        A `Backbone` whose features are a map.

    Raises:
        ValueError: If the weights file does not exist, or Keras does not
            allow the input shape.
        OSError: If ImageNet's weights cannot be downloaded.
    """
    is_path = isinstance(weights, str | os.PathLike)
    if weights not in (None, "imagenet") and not (
        is_path and os.path.exists(weights)
    ):
        raise ValueError(
            '`weights` must be "imagenet", None or the path of a weights '
            f"file. There is no such file. Received: weights={weights!r}"
        )
    side = _SIDES.get(name, 224)
    try:
        model = getattr(keras.applications, name)(
            include_top=False,
            weights=weights,
            input_shape=tuple(input_shape or (side, side, 3)),
        )
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise
        raise OSError(
            f"The ImageNet weights of {name} could not be downloaded: "
            f"{error}. Without a connection, pass the path of a weights file "
            'as `weights`, or use `kt.load_backbone("bundled:efficientnet_'
            f'lite0")`. Received: source={name!r}, weights={weights!r}'
        ) from error
    _, convention = find_convention(name)
    return Backbone(model, make_preprocessing(convention), source=name)
