"""Learn a new task in a new column, beside one that stays as it is."""

from collections.abc import Sequence
from numbers import Integral

import keras

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.builders.classifier import Classifier
from keras_transfer.builders.column_plan import plan_columns
from keras_transfer.builders.columns import copy_network, make_column
from keras_transfer.builders.heads import add_head, count_classes
from keras_transfer.freezing.freezable_model import FreezableModel
from keras_transfer.freezing.frozen_column import FrozenColumn
from keras_transfer.freezing.trainable import set_trainable

_INITIAL = ("old", "random")


def build_progressive(
    model: keras.Model,
    classes: int | Sequence[str],
    *,
    initial: str = "old",
    channels: int = 16,
    head: keras.layers.Layer | list | None = None,
    dropout: float = 0.2,
    multi_label: bool = False,
    pooling: str | None = "avg",
) -> Classifier:
    """Build a progressive network: the old classifier, and a new column.

    The old classifier, head included, is copied into a column that is frozen
    for good: nothing that trains the new model, or the old one, changes what
    `kt.old_task` answers, to the bit. Beside it stands a new column of the
    same structure, which trains as the backbone of any classifier does. At
    the end of each layer group it takes what it can use of the features of
    the old one there, by a small `LateralConnection`.

    Rusu et al. 2016, "Progressive Neural Networks", arXiv:1606.04671,
    equation 2. There, a new column starts from random weights. Here it starts
    as a copy of the old one, for people with a few hundred examples; and
    connections start as 0, so that it begins as the plain network that
    `kt.replace_head` makes. They lead from group to group, not from layer to
    layer.

    The model is twice as large; a step costs a forward pass of the old column
    more, about a third where all of the new one trains. While lower groups
    are frozen, `kt.fine_tune` caches both columns; where none is, it caches
    nothing: the features of all groups take many times the room of pictures.
    Do not expect more accuracy than of fine-tuning: what this gives is a new
    task without any loss on the old one.

    Example:

    ```python
    birds = keras.models.load_model("birds.keras")
    fishes = kt.build_progressive(birds, train.class_names)
    kt.fine_tune(fishes, train, validation)
    fishes.save("fishes.keras")
    kt.old_task(fishes).predict(images)  # what `birds` predicts
    ```

    Args:
        model: A functional or sequential classifier with one input and one
            output, of layers that can be built from their configurations. It
            is copied and left as it is. It may be progressive itself: the new
            column is then the third, with connections from both.
        classes: Number of the new classes, or a list of their names.
        initial: Where the new column starts: `"old"`, from the weights of
            `model`, connections included; or `"random"`, from new ones, as in
            the paper, for many examples, and with phases that have
            `batch_norm="train"` where there is BatchNorm. Defaults to
            `"old"`.
        channels: Number of channels of old features that a connection adds
            to the new ones, at least 1. Defaults to 16.
        head: See `build_classifier`.
        dropout: See `build_classifier`. Defaults to 0.2.
        multi_label: See `build_classifier`. Defaults to `False`.
        pooling: See `build_classifier`. Defaults to `"avg"`.

    Returns:
        A new uncompiled model, as `build_classifier` returns it, with the
        layers `column_1` and `backbone`. Its layer groups are those of
        `model`, each with its connection; the old column is in the first, and
        never trains. Augmentation at the front of `model` stays there, for
        both columns.

    Raises:
        ValueError: If an argument is not as described.
    """
    units, names = count_classes(classes)
    _check(model, initial, channels)
    graph = functional_graph(model)
    inputs, calls, answer = copy_network(model, graph)
    plan = plan_columns(model, inputs, calls)

    taps = [calls[n].writes[position] for n, position in plan.taps]
    entering = [plan.entrance, *plan.imports]
    number = len(plan.old) + 1
    frozen = FrozenColumn(
        FreezableModel(entering, [answer, *taps], name=f"old_{number}"),
        class_names=getattr(model, "class_names", None),
        name=f"column_{number}",
    )
    _, *old_features = frozen(entering)
    backbone = make_column(
        model, graph, calls, plan, channels=channels, initial=initial
    )
    outputs = add_head(
        backbone([*entering, *old_features]),
        units,
        head=head,
        dropout=dropout,
        pooling=pooling,
        multi_label=multi_label,
    )
    new = Classifier(inputs, outputs, class_names=names, name=model.name)
    set_trainable(new, "head")
    return new


def _check(model, initial, channels) -> None:
    graph = functional_graph(model)
    if graph is None or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError(
            "Expected a functional or sequential model with one input and one "
            f"output. Received: model={model!r}"
        )
    layers = model._flatten_layers()
    if any(getattr(x, "data_format", 0) == "channels_first" for x in layers):
        raise ValueError(
            "Expected a network whose channels come last. "
            f"Received: model={model.name}, with data_format='channels_first'"
        )
    if initial not in _INITIAL:
        raise ValueError(
            f"`initial` must be one of {_INITIAL}. "
            f"Received: initial={initial!r}"
        )
    if initial == "random" and any(isinstance(x, HubLayer) for x in layers):
        raise ValueError(
            "A SavedModel has no random weights to start from: pass "
            "initial='old'. Received: initial='random'"
        )
    is_number = isinstance(channels, Integral) and not isinstance(
        channels, bool
    )
    if not is_number or channels < 1:
        raise ValueError(
            "`channels` must be a whole number, at least 1. "
            f"Received: channels={channels!r}"
        )
