"""The part of a model that comes before its head."""

import keras

from keras_transfer.backbones.backbone import Backbone, check_backbone
from keras_transfer.data.augmentation import TrainingOnly
from keras_transfer.freezing.freezable_model import FreezableModel


def build_body(
    backbone: Backbone, augmentation: keras.layers.Layer | list | None
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Put augmentation and preprocessing before a backbone.

    Args:
        backbone: From `load_backbone`. Its weights are shared, not copied.
        augmentation: A layer, or list of layers, applied to raw inputs in
            training and nowhere else; or `None`.

    Returns:
        The raw inputs, and the features of the backbone.

    Raises:
        ValueError: If an argument is not as described.
    """
    check_backbone(backbone)
    inputs = keras.Input(
        backbone.input_shape, dtype=backbone.input_dtype, name="input"
    )
    x = inputs
    if augmentation is not None:
        x = TrainingOnly(augmentation, name="augmentation", dtype="float32")(x)
    x = backbone.preprocess(x)
    features = FreezableModel(
        backbone.model.input, backbone.model.output, name="backbone"
    )(x)
    return inputs, features
