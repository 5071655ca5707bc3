"""The graph of a model with those of the models in it, as one list of steps."""

import dataclasses
from collections.abc import Callable, Iterable

import keras
from keras.src.models.functional import operation_fn

from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.plain_call import is_plain_call


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One call in a model.

    Attributes:
        operation: The layer or operation that is called; `None` where a
            functional model is entered.
        reads: The key of each tensor that it takes, by the tensor's id.
        writes: The keys of the tensors that it gives.
        tensors: These tensors, symbolic.
        arguments: What else it is called with: positional arguments and
            keywords, with numbers of what it reads in place of tensors.
        call: Calls it with a dictionary from tensor ids to values.
    """

    operation: object
    reads: dict[int, tuple]
    writes: tuple
    tensors: tuple
    arguments: tuple
    call: Callable


@dataclasses.dataclass(frozen=True, eq=False)
class UnrolledGraph:
    """A functional model as one list of steps.

    Attributes:
        inputs: Keys of the model's inputs.
        outputs: Keys of its outputs.
        steps: List of `Step`, each after those that it depends on.
    """

    inputs: list
    outputs: list
    steps: list[Step]


def unroll_graph(graph) -> UnrolledGraph:
    """List the calls of a functional model, and of those that it calls.

    Args:
        graph: A `Functional` of Keras.
    """
    steps = []
    inputs = [(0, id(tensor)) for tensor in graph.inputs]
    known = dict(zip(inputs, inputs, strict=True))
    outputs = _unroll(graph, 0, known, steps)
    return UnrolledGraph(inputs, outputs, steps)


def run_steps(steps: Iterable[Step], values: dict, training: Callable) -> None:
    """Run steps one after another.

    Args:
        steps: The steps.
        values: The value of each key that the steps read. What they write is
            added.
        training: Tells for an operation whether it runs in training mode.
    """
    for step in steps:
        tensors = {t: values[key] for t, key in step.reads.items()}
        outputs = step.call(tensors, training(step.operation))
        for key, value in zip(
            step.writes, keras.tree.flatten(outputs), strict=True
        ):
            values[key] = value


def _unroll(graph, scope, known, steps) -> list:
    for node in ordered_nodes(graph):
        reads = {id(t): known[scope, id(t)] for t in node.input_tensors}
        inner = functional_graph(node.operation)
        given = node.arguments
        if inner is None or not is_plain_call(given.args, given.kwargs):
            writes = tuple((scope, id(tensor)) for tensor in node.outputs)
            call = _make_call(node)
            tensors = tuple(node.outputs)
            others = _number_tensors(node, reads)
            steps.append(
                Step(node.operation, reads, writes, tensors, others, call)
            )
            made = writes
        else:
            # A model may be called more than once: each call is a scope.
            its_scope = len(steps) + 1
            writes = tuple((its_scope, id(tensor)) for tensor in inner.inputs)
            call = _make_entrance(node, inner)
            tensors = tuple(inner.inputs)
            steps.append(Step(None, reads, writes, tensors, (), call))
            known.update(zip(writes, writes, strict=True))
            made = _unroll(inner, its_scope, known, steps)
        outer = [(scope, id(tensor)) for tensor in node.outputs]
        known.update(zip(outer, made, strict=True))
    return [known[scope, id(tensor)] for tensor in graph.outputs]


def _number_tensors(node, reads) -> tuple:
    numbers = {tensor: f"tensor {n}" for n, tensor in enumerate(reads)}
    return keras.tree.map_structure(
        lambda value: numbers.get(id(value), value),
        (node.arguments.args, node.arguments.kwargs),
    )


def _make_call(node) -> Callable:
    def call(tensors, training):
        args, kwargs = node.arguments.fill_in(tensors)
        operation = operation_fn(node.operation, training=training)
        return operation(*args, **kwargs)

    return call


def _make_entrance(node, inner) -> Callable:
    def call(tensors, training):
        [inputs], _ = node.arguments.fill_in(tensors)
        return inner._standardize_inputs(inputs)

    return call
