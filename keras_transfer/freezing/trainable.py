"""Set which layer groups of a model train."""

from collections.abc import Iterable

import keras

from keras_transfer.backbones.graph import functional_graph, holds_weights
from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.adapters import find_adapted, revive_adapter
from keras_transfer.freezing.choose_groups import choose_groups
from keras_transfer.freezing.freezable_model import (
    batch_norm_layers,
    make_freezable,
)
from keras_transfer.freezing.hub_trainable import (
    find_hub_layers,
    train_hub_layer,
)
from keras_transfer.freezing.parameter_kinds import (
    ADAPTED,
    choose_parameters,
    find_kinds,
)
from keras_transfer.freezing.phase import BATCH_NORM_RULES, PARAMETERS


def set_trainable(
    model: keras.Model,
    train: str | Iterable[str],
    *,
    batch_norm: str = "frozen",
    parameters: str = "all",
) -> None:
    """Choose which layer groups of a model train; all others are frozen.

    A frozen group is deterministic: its weights do not change, and there is
    no dropout or stochastic depth in it, in `fit` either.

    BatchNorm layers stay frozen in the groups that train, too: they use their
    pretrained statistics, and their gamma and beta do not change. With little
    data, statistics of small batches are worse than those of the source data.
    (`base(x, training=False)` no longer does this in Keras 3.)

    Where groups below the head have adapters (`add_lora`), these alone train
    in the groups below the head, and nothing does in one that has none. The
    head always trains as a whole, but for kernels that have adapters.

    As always in Keras, compile the model afterwards: an optimizer knows only
    the weights that were trainable when it was built.

    Example:

    ```python
    kt.set_trainable(model, "head")          # feature extraction
    kt.set_trainable(model, "top:2")         # the head, two groups below it
    kt.set_trainable(model, r"block_1\\d|head")
    kt.set_trainable(model, ["stem", "head"])
    kt.set_trainable(model, "all", parameters="batch_norm")
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
        parameters: Which weights train in the groups below the head. `"all"`:
            each, or the adapters. `"batch_norm"`: gamma and beta of all kinds
            of normalization (Frankle et al. 2021, arXiv:2003.00152).
            `"bias"`: the biases, and beta of normalizations (BitFit, Ben Zaken
            et al. 2022, arXiv:2106.10199). In the last two cases adapters
            keep what they have learned, and `batch_norm` only says whether
            statistics are `"frozen"` or, with either other rule, adapt.
            Defaults to `"all"`.

    Raises:
        ValueError: If no group is meant by `train`, with the list of those
            that exist; if `batch_norm` or `parameters` is none of the above,
            or there are no such parameters below the head; or if the model
            is a subclassed one with dropout in a frozen group, which nothing
            could switch off.
    """
    for argument, value, choices in (
        ("batch_norm", batch_norm, BATCH_NORM_RULES),
        ("parameters", parameters, PARAMETERS),
    ):
        if value not in choices:
            raise ValueError(
                f"`{argument}` must be one of {choices}. "
                f"Received: {argument}={value!r}"
            )
    groups = layer_groups(model)
    chosen = choose_groups([group.name for group in groups], train)
    kinds = find_kinds(model)
    wanted = choose_parameters(groups, chosen, kinds, parameters)
    if parameters == "all" and batch_norm == "train":
        _want_batch_norm(groups, wanted)
    live = [
        group
        for group in groups
        if group.name in chosen
        and (
            wanted[group.name] is None
            or wanted[group.name]
            or (batch_norm != "frozen" and batch_norm_layers(group))
        )
    ]
    frozen = [group for group in groups if group not in live]
    _refuse_unstoppable_dropout(model, live, frozen)
    for layer in find_hub_layers(live):
        # Refuses a SavedModel for inference only, while nothing has changed.
        train_hub_layer(layer, live, wanted, batch_norm)

    make_freezable(model)
    for layer in find_adapted(model):
        revive_adapter(layer)
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
    _freeze_what_is_not_wanted(live, wanted)
    for group in live:
        for layer in batch_norm_layers(group):
            _set_batch_norm(layer, batch_norm)
        for variable in group.variables:
            if kinds.get(id(variable)) == ADAPTED:
                variable.trainable = False
            elif wanted[group.name] is not None:
                # Where BatchNorm is frozen as a layer, that keeps statistics
                # as they are, and gamma and beta may train nevertheless.
                variable.trainable = id(variable) in wanted[group.name]
    for layer in find_hub_layers(groups):
        train_hub_layer(layer, live, wanted, batch_norm)
    # A step that was traced before would go on training what it trained.
    model.train_function = None


def _want_batch_norm(groups, wanted) -> None:
    for group in groups:
        if wanted[group.name] is not None:
            wanted[group.name].update(
                id(variable)
                for layer in batch_norm_layers(group)
                for variable in layer._trainable_variables
            )


def _freeze_what_is_not_wanted(live, wanted) -> None:
    """Freeze layers of which nothing trains: some keep statistics, say."""
    parts = [group for group in live if wanted[group.name] is not None]
    everything = {id_ for group in parts for id_ in wanted[group.name]}
    for group in parts:
        for layer in group.layers:
            for leaf in layer._flatten_layers():
                own = {id(weight) for weight in leaf.weights}
                if own and not leaf._layers and own.isdisjoint(everything):
                    leaf.trainable = False


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
