"""A functional model whose frozen layer groups are deterministic in `fit`."""

import types

import keras
from keras.src import backend
from keras.src.models.functional import (
    Functional,
    operation_fn,
    unpack_singleton,
)

from keras_transfer.backbones.graph import (
    functional_graph,
    holds_weights,
    ordered_nodes,
)
from keras_transfer.backbones.layer_groups import LayerGroup, layer_groups
from keras_transfer.freezing.freezable import Freezable

_QUIET = "keras_transfer_quiet"


@keras.saving.register_keras_serializable("keras_transfer")
class FreezableModel(Freezable, Functional):
    """A functional `keras.Model` in which frozen means deterministic.

    `fit` calls a model with `training=True`, and Keras hands that to every
    layer: dropout and stochastic depth go on drawing in a backbone that does
    not train, so that its features differ from one step to the next. In this
    model a layer group none of whose weights is trainable runs in inference
    mode. Whatever comes before the first weights (augmentation) is called as
    ever.

    What is trainable is saved with the model, layer by layer and weight by
    weight: Keras itself forgets it for layers made of other layers
    (`MultiHeadAttention`) and for single weights (BatchNorm's gamma and
    beta). So are the random states of dropout, the optimizer's state for
    weights that are frozen, and both factors of adapters (`add_lora`), which
    Keras merges: what is loaded goes on training as if it had not been saved.
    `keras.models.clone_model` does not keep any of that.

    It is made by `build_classifier` and `set_trainable`; there is no need to
    create one by hand.

    Args:
        *args: As for `keras.Model(inputs, outputs)`.
        trained: What is trainable, as in the configuration of a model of this
            class. `None` leaves each layer as it is.
        **kwargs: As for `keras.Model`.
    """

    def __init__(self, *args, trained=None, **kwargs):
        super().__init__(*args, **kwargs)
        make_freezable(self)
        self._restore(trained)

    def call(self, inputs, training=None, mask=None, **kwargs):
        inputs = self._standardize_inputs(inputs)
        if mask is not None:
            masks = keras.tree.flatten(mask)
            for tensor, its_mask in zip(inputs, masks, strict=True):
                backend.set_keras_mask(tensor, its_mask)
        # The outermost model decides for those nested in it.
        context = self._get_call_context()
        decided = context.get_value(_QUIET)
        quiet = decided or set()
        if training and decided is None:
            quiet = quiet_operations(self)
            context.set_value(_QUIET, quiet)
        # Never `None`: Keras 3.15 would then let a random layer, whose default
        # is `True`, decide for all that are called after it.
        graph = getattr(self, "training_graph", self) if training else self
        outputs = graph._run_through_graph(
            inputs,
            operation_fn=lambda operation: operation_fn(
                operation,
                training=bool(training) and operation not in quiet,
                **kwargs,
            ),
        )
        context.set_value(_QUIET, decided)
        return unpack_singleton(outputs)


@keras.saving.register_keras_serializable("keras_transfer")
class FreezableSequential(Freezable, keras.Sequential):
    """A `keras.Sequential` in which frozen means deterministic.

    See `FreezableModel`.
    """

    def call(self, inputs, training=None, mask=None, **kwargs):
        # `add` and `pop` make a new graph.
        if type(self._functional) is Functional:
            make_freezable(self)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = super().from_config(config, custom_objects)
        model._restore(config.get("trained"))
        return model


def make_freezable(model: keras.Model) -> None:
    """Turn a model, and those nested in it, into freezable ones in place.

    Keras offers no hook that tells a layer to stay in inference mode, and a
    copy would not be the model that the user holds. So the object's class is
    exchanged for a subclass that adds nothing but the rule. Functional models
    of a class of the user's own keep it, and get the rule as an attribute,
    which is not saved.

    Args:
        model: A Keras model.
    """
    for layer in model._flatten_layers():
        graph = functional_graph(layer)
        if type(layer) is keras.Sequential:
            layer.__class__ = FreezableSequential
        if type(graph) is Functional:
            graph.__class__ = FreezableModel
        elif graph is not None and not isinstance(graph, FreezableModel):
            graph.call = types.MethodType(FreezableModel.call, graph)


def quiet_operations(model: keras.Model) -> set:
    """Collect the operations that run in inference mode, in `fit` too.

    Args:
        model: A functional model.

    Returns:
        A set of operations, those in nested models included: the layers of
        groups without trainable weights that hold weights or come after some.
    """
    if not holds_weights(model):
        return set()
    live, frozen = set(), set()
    for group in layer_groups(model):
        (live if is_live(group) else frozen).update(group.layers)
    return _quiet_in(functional_graph(model), frozen - live)


def _quiet_in(graph, frozen: set, *, is_behind=False, is_frozen=False) -> set:
    """Go through a graph that may be nested behind weights, or in a group."""
    quiet, behind = set(), set()
    for node in ordered_nodes(graph):
        layer = node.operation
        inner = functional_graph(layer)
        follows = is_behind or any(id(t) in behind for t in node.input_tensors)
        stays = is_frozen or layer in frozen
        if isinstance(layer, keras.Model) and inner is None:
            # Its layers are in the groups, but do not ask us.
            stays = stays or (layer.weights and not _trains(layer.weights))
        if follows or can_train(layer):
            behind.update(map(id, node.outputs))
            if inner is None and stays:
                quiet.add(layer)
        if inner is not None:
            quiet |= _quiet_in(
                inner, frozen, is_behind=follows, is_frozen=stays
            )
    return quiet


def is_live(group: LayerGroup) -> bool:
    """Tell whether anything in a group changes in `fit`."""
    return _trains(group.variables) or any(
        layer.trainable for layer in batch_norm_layers(group)
    )


def batch_norm_layers(group: LayerGroup) -> list:
    """List the BatchNorm layers of a group, inside other layers too."""
    return [
        inner
        for layer in group.layers
        for inner in layer._flatten_layers()
        if isinstance(inner, keras.layers.BatchNormalization)
    ]


def _trains(variables) -> bool:
    return any(variable.trainable for variable in variables)


def can_train(operation) -> bool:
    """Tell whether an operation has weights made to train.

    `Normalization`, which is often the first layer, has none.
    """
    return isinstance(operation, keras.layers.Layer) and any(
        layer._trainable_variables for layer in operation._flatten_layers()
    )
