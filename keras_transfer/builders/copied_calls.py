"""The calls of a network, made again with layers of their own."""

import contextlib
from collections.abc import Callable

import keras
from keras.src.ops.core import Cast
from keras.src.saving.serialization_lib import SafeModeScope

from keras_transfer.backbones.graph import functional_graph
from keras_transfer.backbones.plain_call import is_plain_call
from keras_transfer.freezing.adapted_variables import adapted_variables


def run_calls(graph, inputs, call: Callable, whole=frozenset()):
    """Go through a functional model and the models in it, as one graph.

    Args:
        graph: A `Functional` of Keras.
        inputs: What it is called with, symbolic.
        call: Function `(operation, args, kwargs)` that makes one call and
            returns what comes of it. The calls come in the same order each
            time.
        whole: Models in it that are called as they are.

    Returns:
        The outputs, in the structure of those of the graph.
    """
    flat = [
        tensor
        if tensor.dtype == own.dtype
        else call(Cast(own.dtype), (tensor,), {})
        for tensor, own in zip(
            keras.tree.flatten(inputs), graph.inputs, strict=True
        )
    ]

    def enter(operation):
        inner = None
        if operation not in whole:
            inner = functional_graph(operation)

        def run(*args, **kwargs):
            if inner is not None and is_plain_call(args, kwargs):
                return run_calls(inner, args[0], call, whole)
            return call(operation, args, kwargs)

        return run

    return graph._run_through_graph(flat, operation_fn=enter)


class Copies:
    """Copies of operations: one of each, however often it is called.

    They share nothing with the originals, and no two have the same name.
    """

    def __init__(self):
        self._copies, self._names = {}, set()

    def of(self, operation) -> keras.Operation:
        """Return the copy of an operation.

        Raises:
            ValueError: If it cannot be built from its configuration.
        """
        if operation not in self._copies:
            name = self.choose_name(operation.name)
            # It is the user's own code, from this very process.
            with _refuse(operation), SafeModeScope(False):
                config = {**operation.get_config(), "name": name}
                self._copies[operation] = type(operation).from_config(config)
        return self._copies[operation]

    def assign_weights(self, *, adapted_only: bool = False) -> None:
        """Give the copies, once built, the weights of the originals.

        Args:
            adapted_only: Whether only layers that were adapted to data, such
                as `Normalization`, are given theirs.

        Raises:
            ValueError: If the weights of a copy are others.
        """
        for original, copy in self._copies.items():
            if not isinstance(original, keras.layers.Layer):
                continue
            adapted = adapted_variables(original)
            with _refuse(original):
                for new, old in zip(
                    copy.weights, original.weights, strict=True
                ):
                    if id(old) in adapted or not adapted_only:
                        new.assign(old)
            for layer in copy._flatten_layers():
                # Keras 3.15: `Normalization` keeps constants made of them.
                if hasattr(layer, "finalize_state"):
                    layer.finalize_state()

    def choose_name(self, name: str) -> str:
        """Return a name that none has yet, this one if possible."""
        found, number = name, 1
        while found in self._names:
            found, number = f"{name}_{number}", number + 1
        self._names.add(found)
        return found


@contextlib.contextmanager
def _refuse(operation):
    try:
        yield
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            "Expected layers that can be built from their configuration. "
            f"Give this one `get_config` and `from_config`: {error}. "
            f"Received: layer={operation.name}"
        ) from error
