"""Set which layer groups of a model train."""

import re
from collections.abc import Iterable

import keras

from keras_transfer.backbones.graph import functional_graph, holds_weights
from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.freezable_model import (
    batch_norm_layers,
    make_freezable,
)
from keras_transfer.freezing.phase import BATCH_NORM_RULES

_HUB_BATCH_NORM = re.compile(
    r"(batch_?norm|(^|[/_])bn\d*([/_]|$)).*(gamma|beta)", re.IGNORECASE
)


def set_trainable(
    model: keras.Model,
    train: str | Iterable[str],
    *,
    batch_norm: str = "frozen",
) -> None:
    """Choose which layer groups of a model train; all others are frozen.

    A frozen group is deterministic: its weights do not change, and there is
    no dropout or stochastic depth in it, in `fit` either.

    BatchNorm layers stay frozen in the groups that train, too: they use their
    pretrained statistics, and their gamma and beta do not change. With little
    data, statistics of small batches are worse than those of the source data.
    (`base(x, training=False)` no longer does this in Keras 3.)

    As always in Keras, compile the model afterwards: an optimizer knows only
    the weights that were trainable when it was built.

    Example:

    ```python
    kt.set_trainable(model, "head")          # feature extraction
    kt.set_trainable(model, "top:2")         # the head, two groups below it
    kt.set_trainable(model, r"block_1\\d|head")
    kt.set_trainable(model, ["stem", "head"])
    ```

    Args:
        model: A built Keras model. Functional and sequential models, and
            those nested in them, become `FreezableModel` in place: save
            them as `.keras`, as `.h5` does not find classes again.
        train: `"head"`, `"top:N"` (the head and the N groups below it),
            `"all"`, `"none"`, a regular expression that a group's whole name
            must match, or a list of group names.
        batch_norm: What BatchNorm does in the groups that train. `"frozen"`;
            `"statistics"`: its moving averages adapt, gamma and beta do not;
            `"train"`: it trains like any layer. Defaults to `"frozen"`.

    Raises:
        ValueError: If no group is meant by `train`, with the list of those
            that exist; if `batch_norm` is none of the above; or if the model
            is a subclassed one with dropout in a frozen group, which nothing
            could switch off.
    """
    if batch_norm not in BATCH_NORM_RULES:
        raise ValueError(
            f"`batch_norm` must be one of {BATCH_NORM_RULES}. "
            f"Received: batch_norm={batch_norm!r}"
        )
    groups = layer_groups(model)
    chosen = _choose([group.name for group in groups], train)
    live = [group for group in groups if group.name in chosen]
    frozen = [group for group in groups if group.name not in chosen]
    _refuse_unstoppable_dropout(model, live, frozen)
    for layer in _hub_layers(live):
        # Refuses a SavedModel for inference only, while nothing has changed.
        _train_hub_layer(layer, live, batch_norm)

    make_freezable(model)
    _unfreeze(model._flatten_layers())
    for group in frozen:
        for layer in group.layers:
            layer.trainable = False
    # What layers of both kinds hold in common belongs to one group, too.
    for group in live:
        for layer in group.layers:
            _unfreeze(x for x in layer._flatten_layers() if not x.trainable)
    for group in frozen:
        for variable in group.variables:
            variable.trainable = False
    for layer in _hub_layers(groups):
        _train_hub_layer(layer, live, batch_norm)
    for group in live:
        for layer in batch_norm_layers(group):
            _set_batch_norm(layer, batch_norm)
    # A step that was traced before would go on training what it trained.
    model.train_function = None


def _choose(names: list[str], train) -> set[str]:
    exist = f"The layer groups of this model are: {', '.join(names)}."
    if not isinstance(train, str):
        wanted = list(train) if isinstance(train, Iterable) else [train]
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(
                f"Unknown layer groups: {unknown}. {exist} "
                f"Received: train={train!r}"
            )
        return set(wanted)
    if train in ("all", "none"):
        return set(names) if train == "all" else set()
    depth = re.fullmatch(r"top:(\d+)", train)
    if depth or train == "head":
        below = int(depth.group(1)) if depth else 0
        if names[-1] != "head" or below >= len(names):
            raise ValueError(
                "`train` asks for a head and groups below it that this model "
                f"does not have. {exist} Received: train={train!r}"
            )
        return set(names[-1 - below :])
    try:
        chosen = {name for name in names if re.fullmatch(train, name)}
    except re.error as error:
        raise ValueError(
            f"`train` is not a regular expression ({error}). {exist} "
            f"Received: train={train!r}"
        ) from error
    if not chosen:
        raise ValueError(
            f"No layer group's name matches. {exist} "
            'Or pass "head", "top:N", "all" or "none". '
            f"Received: train={train!r}"
        )
    return chosen


def _refuse_unstoppable_dropout(model, live, frozen) -> None:
    """Refuse to freeze part of a model that gives no hold on its calls."""
    live, frozen = (
        {
            inner
            for group in groups
            for layer in group.layers
            for inner in layer._flatten_layers()
        }
        for groups in (live, frozen)
    )
    for part in model._flatten_layers():
        if not isinstance(part, keras.Model) or functional_graph(part):
            continue
        held = set(part._flatten_layers(include_self=False))
        random = sorted(x.name for x in held & frozen - live if _draws(x))
        if random and any(map(holds_weights, held & live)):
            raise ValueError(
                f"The frozen groups hold random layers ({', '.join(random)}) "
                "that would go on drawing in `fit`: in a model with a `call` "
                "of its own nothing can switch them off one by one. Make it "
                "functional, or freeze it as a whole: `kt.build_classifier("
                "kt.load_backbone(model, ...), classes)`. "
                f"Received: model={part.name}"
            )


def _draws(layer) -> bool:
    """Tell whether a layer draws random numbers in training."""
    rates = [
        getattr(layer, name)
        for name in ("dropout", "recurrent_dropout")
        if hasattr(layer, name)
    ]
    return bool(layer._seed_generators) and (any(rates) or not rates)


def _unfreeze(layers: Iterable) -> None:
    """Make layers, and each of their weights that can train, trainable.

    Keras 3.15 on TensorFlow: assigning to `trainable` the value that it has
    already is skipped and so does not reach the layers inside: hence through
    `False`.
    """
    for layer in layers:
        layer.trainable = False
        layer.trainable = True


def _set_batch_norm(layer, rule: str) -> None:
    layer.trainable = rule != "frozen"
    if rule == "statistics":
        for weight in layer.weights:
            weight.trainable = False


def _hub_layers(groups) -> list[HubLayer]:
    layers = [layer for group in groups for layer in group.layers]
    return [x for x in dict.fromkeys(layers) if isinstance(x, HubLayer)]


def _train_hub_layer(layer: HubLayer, live, batch_norm: str) -> None:
    chosen = {id(variable) for group in live for variable in group.variables}
    layer.train_variables(
        [
            variable
            for name, variable in layer.named_variables
            if id(variable) in chosen
            and (batch_norm == "train" or not _HUB_BATCH_NORM.search(name))
        ],
        batch_norm=batch_norm,
    )
