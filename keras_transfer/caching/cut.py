"""Where a model can be cut: what is the same in each epoch, and the rest."""

import functools
import math
from collections.abc import Callable

import keras
from keras.src import backend
from keras.src.models.functional import unpack_singleton

from keras_transfer.backbones.graph import functional_graph, transforms
from keras_transfer.caching.no_cut_error import NoCutError
from keras_transfer.caching.prefix_key import digest_prefix, digest_weights
from keras_transfer.caching.unrolled_graph import run_steps, unroll_graph
from keras_transfer.freezing.freezable_model import (
    can_train,
    quiet_operations,
)


class Cut:
    """A model in two parts: a frozen prefix, and a tail that trains.

    The prefix is all that gives the same in each epoch: nothing in it trains,
    is random or adapts itself. The tensors that leave it are the cut. It
    holds as long as what is trainable does.

    Args:
        model: A functional or sequential model.
        with_augmentation: Whether random layers before the first weights
            belong to the prefix. They change its inputs only when asked to.

    Attributes:
        names: Names of the tensors of the cut. No other cut of the model has
            the same ones.
        variables: The variables of the prefix.
        cached: Tuple of the `CachedData` of this cut.
        steps: The `Step`s of the prefix.
        tail: The `Step`s of the rest.
        inputs: Keys of what the prefix reads, the inputs of the model.
        keys: Keys of the tensors of the cut.
        augmentation: The random layers in the prefix.

    Raises:
        NoCutError: If there is no such prefix, with the reason.
    """

    def __init__(self, model: keras.Model, *, with_augmentation=False):
        graph = functional_graph(getattr(model, "training_graph", model))
        if graph is None:
            raise NoCutError("the model has no graph that could be cut")
        self.cached = ()
        self._graph = graph
        self._unrolled = unroll_graph(graph)
        self.inputs = self._unrolled.inputs
        self._quiet = quiet_operations(model)
        self.augmentation = []
        if with_augmentation:
            self._find_augmentation()
        self._divide()
        layers = [
            step.operation
            for step in self.steps
            if isinstance(step.operation, keras.layers.Layer)
        ]
        if not any(map(can_train, layers)):
            raise NoCutError(self._say_why_there_is_none())
        for layer in layers:
            if getattr(layer, "activity_regularizer", None) is not None:
                raise NoCutError(f"`{layer.name}` adds to the loss")
        variables = {id(v): v for layer in layers for v in layer.weights}
        self.variables = tuple(variables.values())

    def run_prefix(self, inputs, augments: bool = False) -> dict:
        """Compute the tensors of the cut.

        Args:
            inputs: What the model takes.
            augments: Whether to augment them.

        Returns:
            A dictionary from `names` to tensors.

        Raises:
            NoCutError: If a mask, which is not a tensor of its own, goes with
                one of them.
        """
        flat = keras.tree.flatten(self._graph._standardize_inputs(inputs))
        values = dict(zip(self.inputs, flat, strict=True))
        live = self.augmentation if augments else ()
        return self._finish_prefix(values, self.steps, live)

    def from_another(self, other: "Cut") -> Callable[[dict], dict] | None:
        """Find a way from another cut of the same model to this one.

        Args:
            other: A cut nearer to the input.

        Returns:
            A function from the tensors of the other cut to those of this one,
            or `None` if these do not suffice.
        """
        needed, steps = set(self.keys) - set(other.keys), []
        for step in reversed(self.steps):
            if needed.intersection(step.writes):
                needed.difference_update(step.writes)
                needed.update(set(step.reads.values()) - set(other.keys))
                steps.insert(0, step)
        if needed:
            return None

        def run(tensors):
            return self._finish_prefix(other._name_keys(tensors), steps)

        return run

    def is_of(self, inputs) -> bool:
        """Tell the tensors of this cut from anything else."""
        return isinstance(inputs, dict) and set(inputs) == set(self.names)

    def run_tail(self, tensors: dict, training: bool | None):
        """Compute the outputs of the model from the tensors of the cut.

        Args:
            tensors: A dictionary from `names` to tensors.
            training: As for a call of the model.
        """
        values = self._name_keys(tensors)
        quiet = self._quiet
        run_steps(
            self.tail, values, lambda op: bool(training) and op not in quiet
        )
        outputs = [values[key] for key in self._unrolled.outputs]
        struct = self._graph._outputs_struct
        return unpack_singleton(keras.tree.pack_sequence_as(struct, outputs))

    def digest_weights(self) -> str:
        """Return a digest of the prefix's weights as they are."""
        return digest_weights(self.variables)

    @functools.cached_property
    def weights(self) -> str:
        """What `digest_weights` gave, the first time that this was read."""
        return self.digest_weights()

    def digest(self) -> str:
        """Return a name for what the prefix computes, as `digest_prefix`."""
        # Data in dictionaries finds the inputs by their names.
        inputs = self._graph.inputs
        names = [tensor._keras_history.operation.name for tensor in inputs]
        return digest_prefix(
            self.steps,
            self.inputs,
            self.keys,
            self.weights,
            names if len(names) > 1 else None,
        )

    def _name_keys(self, tensors) -> dict:
        named = zip(self.names, self.keys, strict=True)
        return {key: tensors[name] for name, key in named}

    def _finish_prefix(self, values, steps, live=()) -> dict:
        run_steps(steps, values, lambda operation: operation in live)
        found = [values[key] for key in self.keys]
        if any(backend.get_keras_mask(tensor) is not None for tensor in found):
            raise NoCutError("masks go from the frozen part to the rest")
        return dict(zip(self.names, found, strict=True))

    def _find_augmentation(self) -> None:
        behind = set()
        for step in self._unrolled.steps:
            is_behind = not behind.isdisjoint(step.reads.values())
            if is_behind or can_train(step.operation):
                behind.update(step.writes)
            elif not self._is_constant(step.operation):
                self.augmentation.append(step.operation)

    def _divide(self) -> None:
        unrolled = self._unrolled
        constant = set(unrolled.inputs)
        prefix, self.tail = [], []
        for step in unrolled.steps:
            follows = constant.issuperset(step.reads.values())
            if follows and self._is_constant(step.operation):
                prefix.append(step)
                constant.update(step.writes)
            else:
                self.tail.append(step)
        prefix = self._shorten(prefix)
        self.steps, needed = [], set(self.keys)
        for step in reversed(prefix):
            if needed.intersection(step.writes):
                needed.update(step.reads.values())
                self.steps.insert(0, step)
        written = [key for step in unrolled.steps for key in step.writes]
        order = {key: n for n, key in enumerate([*unrolled.inputs, *written])}
        # Their order as texts, in which they are kept, is that of the graph.
        self.keys = sorted(self.keys, key=order.get)
        self.names = tuple(
            f"keras_transfer_cut_{order[key]:06}" for key in self.keys
        )

    def _shorten(self, prefix: list) -> list:
        """Leave to the tail what would only make more to keep.

        The first steps of a block may be constant as well: a pooling, a frozen
        BatchNorm. Where the block reads what comes before them, too, there
        would be one more tensor to keep.
        """
        graph = self._graph
        made = dict(zip(self._unrolled.inputs, graph.inputs, strict=True))
        for step in prefix:
            made.update(zip(step.writes, step.tensors, strict=True))
        choices = []
        for end in range(len(prefix), -1, -1):
            keys = self._find_keys([*prefix[end:], *self.tail])
            size = sum(_count_values(made[key]) for key in keys)
            choices.append((size, -end, keys))
            if not end or transforms(prefix[end - 1].operation):
                break
        _, end, self.keys = min(choices)
        self.tail = [*prefix[-end:], *self.tail]
        return prefix[:-end]

    def _find_keys(self, late: list) -> list:
        """List what steps read that they do not write."""
        written = {key for step in late for key in step.writes}
        read = [key for step in late for key in step.reads.values()]
        wanted = dict.fromkeys([*read, *self._unrolled.outputs])
        return [key for key in wanted if key not in written]

    def _is_constant(self, operation) -> bool:
        """Tell whether an operation gives the same in each epoch."""
        if not isinstance(operation, keras.layers.Layer):
            return True
        if operation in self.augmentation:
            return True
        if any(variable.trainable for variable in operation.variables):
            return False
        batch_norm = keras.layers.BatchNormalization
        if any(
            isinstance(layer, batch_norm) and layer.trainable
            for layer in operation._flatten_layers()
        ):
            return False
        if operation in self._quiet or isinstance(operation, batch_norm):
            return True
        return not operation._call_has_training_arg and not any(
            layer._seed_generators for layer in operation._flatten_layers()
        )

    def _say_why_there_is_none(self) -> str:
        for step in self.tail:
            if can_train(step.operation):
                break
            if not self._is_constant(step.operation):
                name = step.operation.name
                return (
                    f"`{name}` may change the inputs anew in each epoch "
                    "(`cached_views=3` keeps three of the changes)"
                )
        return "nothing that is frozen comes before what trains"


def _count_values(tensor) -> int:
    return math.prod(side or 1 for side in tensor.shape[1:])
