"""Give a trained classifier a new head."""

from collections.abc import Sequence

import keras

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.backbones.own_model import head_input
from keras_transfer.builders.classifier import Classifier
from keras_transfer.builders.heads import add_head, count_classes
from keras_transfer.freezing.trainable import set_trainable


def replace_head(
    model: keras.Model,
    classes: int | Sequence[str],
    *,
    head: keras.layers.Layer | list | None = None,
    dropout: float = 0.2,
    multi_label: bool = False,
    pooling: str | None = "avg",
) -> Classifier:
    """Put a new, untrained head on the body of a classifier.

    Everything before the head stays as it is, augmentation and preprocessing
    included, and keeps its trained weights, which both models share. Only the
    new head is trainable at first.

    Example:

    ```python
    birds = kt.build_classifier(backbone, bird_names)
    ...
    fishes = kt.replace_head(birds, fish_names)
    ```

    Args:
        model: A functional or sequential classifier.
        classes: Number of the new classes, or a list of their names.
        head: See `build_classifier`.
        dropout: See `build_classifier`. Defaults to 0.2.
        multi_label: See `build_classifier`. Defaults to `False`.
        pooling: See `build_classifier`. Defaults to `"avg"`.

    Returns:
        A new uncompiled model, as `build_classifier` returns it.

    Raises:
        ValueError: If the model has no head that one tensor enters.
    """
    units, names = count_classes(classes)
    graph = functional_graph(model)
    features = head_input(model) if graph is not None else None
    if features is None:
        groups = [group.name for group in layer_groups(model)]
        raise ValueError(
            "Expected a functional or sequential model whose head is entered "
            f"by one tensor. Received: model={model.name} with the layer "
            f"groups {groups}"
        )
    outputs = add_head(
        features,
        units,
        head=head,
        dropout=dropout,
        pooling=pooling,
        multi_label=multi_label,
    )
    fresh = Classifier(graph.input, outputs, class_names=names, name=model.name)
    set_trainable(fresh, "head")
    return fresh
