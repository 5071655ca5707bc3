"""Build a classifier on top of a backbone."""

from collections.abc import Sequence

import keras

from keras_transfer.backbones.backbone import Backbone
from keras_transfer.builders.body import build_body
from keras_transfer.builders.heads import add_head, count_classes
from keras_transfer.freezing.freezable_model import FreezableModel
from keras_transfer.freezing.trainable import set_trainable


@keras.saving.register_keras_serializable("keras_transfer")
class Classifier(FreezableModel):
    """A functional `keras.Model` that knows the names of its classes.

    Made by `build_classifier` and `replace_head`. `import keras_transfer`
    before loading one from a `.keras` file.

    Args:
        *args: As for `keras.Model(inputs, outputs)`.
        class_names: List of the names of the classes, in the order of the
            outputs, or `None`. Saved with the model.
        **kwargs: As for `keras.Model`.
    """

    def __init__(self, *args, class_names=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.class_names = class_names and list(class_names)

    def get_config(self):
        names = self.class_names and list(self.class_names)
        return {**super().get_config(), "class_names": names}


def build_classifier(
    backbone: Backbone,
    classes: int | Sequence[str],
    *,
    head: keras.layers.Layer | list | None = None,
    dropout: float = 0.2,
    augmentation: keras.layers.Layer | list | None = None,
    multi_label: bool = False,
    pooling: str | None = "avg",
) -> Classifier:
    """Build an image classifier from a backbone.

    The model takes raw images; augmentation (in training only) and the
    backbone's own preprocessing are inside. Its layers are `augmentation`,
    `preprocessing`, `backbone` and the head. The backbone starts frozen, so
    that the first thing that trains is the head: `set_trainable` changes it.

    Example:

    ```python
    backbone = kt.load_backbone("MobileNetV2")
    model = kt.build_classifier(backbone, ["cat", "dog"])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    ```

    Args:
        backbone: From `load_backbone`. Its weights are shared with the model,
            not copied.
        classes: Number of classes, or a list of their names. One class gives
            a single sigmoid output.
        head: A layer, or list of layers, between the pooled features and the
            output layer, in place of dropout. If they end in one value for
            each class, no output layer is added.
        dropout: Share of the features to drop in training, in [0, 1).
            Defaults to 0.2.
        augmentation: A layer, or list of layers, applied to raw images in
            training and nowhere else. Optional.
        multi_label: Whether an example may belong to several classes: sigmoid
            outputs instead of softmax. Defaults to `False`.
        pooling: How a feature map becomes a vector: `"avg"`, `"max"`, or
            `None` for a `head` that takes the map. Defaults to `"avg"`.

    Returns:
        An uncompiled functional `keras.Model` with `class_names`, from
        `(batch, height, width, 3)` of any numeric dtype, in [0, 255], to
        float32 probabilities `(batch, classes)`.

    Raises:
        ValueError: If an argument is not as described.
    """
    units, names = count_classes(classes)
    inputs, features = build_body(backbone, augmentation)
    outputs = add_head(
        features,
        units,
        head=head,
        dropout=dropout,
        pooling=pooling,
        multi_label=multi_label,
    )
    model = Classifier(
        inputs, outputs, class_names=names, name=f"{backbone.name}_classifier"
    )
    set_trainable(model, "head")
    return model
