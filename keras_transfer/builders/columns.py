"""The columns of a progressive network."""

from collections.abc import Sequence

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.builders.column_plan import Call, ColumnPlan
from keras_transfer.builders.copied_calls import Copies, run_calls
from keras_transfer.builders.lateral_connection import LateralConnection
from keras_transfer.freezing.freezable_model import FreezableModel


def copy_network(model: keras.Model, graph) -> tuple:
    """Make all calls of a network again, with copies of its layers.

    Args:
        model: The network, with one input and one output.
        graph: Its `Functional`.

    Returns:
        The input, the list of `Call`s, and the output.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    source = graph.inputs[0]
    inputs = keras.Input(
        batch_shape=source.shape,
        dtype=source.dtype,
        name=source._keras_history.operation.name,
    )
    copies, calls = Copies(), []

    def call(operation, args, kwargs):
        outputs = copies.of(operation)(*args, **kwargs)
        reads = filter(_is_tensor, keras.tree.flatten([args, kwargs]))
        calls.append(Call(operation, tuple(reads), outputs))
        return outputs

    outputs = run_calls(graph, inputs, call, _whole_models(model))
    copies.assign_weights()
    return inputs, calls, keras.tree.flatten(outputs)[0]


def make_column(
    model: keras.Model,
    graph,
    calls: Sequence[Call],
    plan: ColumnPlan,
    *,
    channels: int,
    initial: str,
) -> FreezableModel:
    """Make the body of a network again, connected with that of its copy.

    Args:
        model: The network.
        graph: Its `Functional`.
        calls: From `copy_network`.
        plan: From `plan_columns`.
        channels: As for `LateralConnection`.
        initial: As for `build_progressive`.

    Returns:
        A model from `plan.entrance`, `plan.imports` and the tensors of
        `plan.taps` to features.
    """
    given = [plan.entrance, *plan.imports]
    given += [calls[n].writes[position] for n, position in plan.taps]
    entering = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in given]
    known = {id(old): new for old, new in zip(given, entering, strict=True)}
    old_features = dict(
        zip(plan.taps, entering[-len(plan.taps) :], strict=True)
    )
    copies, made = Copies(), []

    def call(operation, args, kwargs):
        number = len(made)
        if number in plan.own:
            outputs = copies.of(operation)(*args, **kwargs)
        else:
            outputs = calls[number].outputs
        flat = keras.tree.flatten(outputs)
        made.append(flat)
        for position, tensor in enumerate(flat):
            if number not in plan.own:
                flat[position] = known.get(id(tensor), tensor)
            elif (number, position) in old_features:
                flat[position] = connect(
                    tensor, old_features[number, position], operation.name
                )
        return keras.tree.pack_sequence_as(outputs, flat)

    def connect(tensor, old, name):
        # It is named like what it follows, of which it is a part.
        name = f"{name.partition('_lateral_')[0]}_lateral_{len(plan.old) + 1}"
        prefix = "" if tensor.dtype == "float32" else "mixed_"
        return LateralConnection(
            channels,
            dtype=prefix + tensor.dtype,
            name=copies.choose_name(name),
        )([tensor, old])

    start = graph.inputs[0] if plan.start else entering[0]
    run_calls(graph, start, call, _whole_models(model))
    copies.assign_weights(adapted_only=initial == "random")
    number, position = plan.features
    return FreezableModel(entering, made[number][position], name="backbone")


def _whole_models(model) -> set:
    """Collect the models that a layer group has in it as one layer."""
    return {layer for group in layer_groups(model) for layer in group.layers}


def _is_tensor(value) -> bool:
    return isinstance(value, keras.KerasTensor)
