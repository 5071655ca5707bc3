"""Where a network can be given a second column."""

import dataclasses
from collections.abc import Sequence

import keras

from keras_transfer.backbones.graph import holds_weights
from keras_transfer.backbones.layer_groups import (
    find_head,
    find_nested_backbone,
    layer_groups,
)
from keras_transfer.freezing.frozen_column import FrozenColumn


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation in a network.

    Attributes:
        operation: That of the network.
        reads: The tensors that it took, of a copy of the network.
        outputs: What it gave, in the structure in which it did.
    """

    operation: keras.Operation
    reads: tuple
    outputs: object

    @property
    def writes(self) -> list:
        """The tensors that it gave."""
        return keras.tree.flatten(self.outputs)


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnPlan:
    """The parts of a network, by the numbers of its calls.

    Attributes:
        start: How many calls come before the columns: up to the last that
            changes the inputs in training, such as augmentation.
        entrance: The tensor that enters all columns.
        old: Numbers of the calls of columns that it has already.
        own: Set of the numbers of calls between the entrance and the head,
            without those.
        imports: Tensors that these columns give to its own part.
        taps: For each layer group `(call, output)` of its last tensor.
        features: `(call, output)` of the tensor that enters the head.
    """

    start: int
    entrance: keras.KerasTensor
    old: list[int]
    own: set[int]
    imports: list
    taps: list[tuple[int, int]]
    features: tuple[int, int]


def plan_columns(
    model: keras.Model, inputs: keras.KerasTensor, calls: Sequence[Call]
) -> ColumnPlan:
    """Find the parts of a classifier.

    Args:
        model: The classifier.
        inputs: What the copy of it takes.
        calls: All calls of the copy, in order.

    Raises:
        ValueError: If it has not one body and one head, with one tensor that
            enters each.
    """
    groups = layer_groups(model)
    head = len(groups) - 1 if groups[-1].name == "head" else None
    placed = _place(calls, groups, _head_operations(model))
    made = {
        id(tensor): (number, position)
        for number, call in enumerate(calls)
        for position, tensor in enumerate(call.writes)
    }
    start = _find_entrance(calls)
    entrance = calls[start - 1].writes[0] if start else inputs
    rest = [n for n in range(start, len(calls)) if placed[n] != head]
    old = [n for n in rest if isinstance(calls[n].operation, FrozenColumn)]
    own = set(rest) - set(old)

    def find_read(numbers) -> dict:
        read = [t for n in numbers for t in calls[n].reads]
        return {id(t): t for t in read if id(t) != id(entrance)}

    outside = [made.get(key, (-1,))[0] for key in find_read(rest)]
    read_by_head = find_read(
        n for n, group in enumerate(placed) if group == head
    )
    features = [made.get(key, (-1, 0)) for key in read_by_head]
    features = [place for place in features if placed[place[0]] != head]
    taps = _find_taps(calls, placed, own)
    if (
        head is None
        or not set(outside) <= set(rest)
        or len(features) != 1
        or features[0][0] not in own
        or not taps
    ):
        raise ValueError(
            "Expected a classifier with a body that one tensor enters, after "
            "augmentation if there is any, and a head that one tensor of it "
            f"enters. Received: model={model.name} with the layer groups "
            f"{[group.name for group in groups]}"
        )
    imports = [t for k, t in find_read(own).items() if made[k][0] in old]
    return ColumnPlan(start, entrance, old, own, imports, taps, features[0])


def _head_operations(model) -> set:
    """Collect the operations of the head, those that are no layers too."""
    inner = find_nested_backbone(model)
    return find_head(model) or (_head_operations(inner) if inner else set())


def _place(calls, groups, head) -> list[int]:
    """Number the layer group of each call.

    What is in none (`x + y`), or is used again, belongs to where its inputs
    are made.
    """
    numbers = {
        layer: number
        for number, group in enumerate(groups)
        for holder in group.layers
        for layer in holder._flatten_layers()
    }
    numbers.update(dict.fromkeys(head, len(groups) - 1))
    made_in, placed = {}, []
    for call in calls:
        sources = [made_in.get(id(tensor), 0) for tensor in call.reads]
        number = max([0, *sources, numbers.get(call.operation, 0)])
        made_in.update((id(tensor), number) for tensor in call.writes)
        placed.append(number)
    return placed


def _find_entrance(calls) -> int:
    """Count the calls up to the last that augments the inputs.

    All columns must see the same pictures.
    """
    count = 0
    for number, call in enumerate(calls, start=1):
        layer = call.operation
        if holds_weights(layer) and not hasattr(layer, "adapt"):
            break
        if getattr(layer, "_call_has_training_arg", False):
            count = number
    return count


def _find_taps(calls, placed, own) -> list[tuple[int, int]]:
    """Find the last tensor of each group that a later one reads."""
    read_until = {}
    for call, group in zip(calls, placed, strict=True):
        for tensor in call.reads:
            last = read_until.get(id(tensor), 0)
            read_until[id(tensor)] = max(last, group)
    taps = {}
    for number in sorted(own):
        group = placed[number]
        for position, tensor in enumerate(calls[number].writes):
            is_read = read_until.get(id(tensor), 0) > group
            if is_read and _has_channels(tensor):
                taps[group] = number, position
    return list(taps.values())


def _has_channels(tensor) -> bool:
    is_float = keras.backend.is_float_dtype(tensor.dtype)
    return is_float and len(tensor.shape) > 1 and tensor.shape[-1] is not None
