"""The graph of a Keras model: its operations, and how they fall into runs.

Keras has no public way to ask which operation feeds which; what reads its
private nodes is in this file.
"""

from collections import Counter

import keras
from keras.src.models.functional import Functional

from keras_transfer.backbones.block_names import find_blocks

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.RMSNormalization,
)


def functional_graph(model) -> Functional | None:
    """Return the `Functional` that holds a model's graph, or `None`.

    Args:
        model: Any Keras model or layer.

    Returns:
        The model itself, the graph inside a `Sequential`, or `None` if there
        is none that says what the model does: for layers, subclassed models,
        models with a `call` of their own and a `Sequential` without an input
        shape.
    """
    is_sequential = isinstance(model, keras.Sequential)
    graph = model._functional if is_sequential else model
    if not isinstance(graph, Functional):
        return None
    package = type(model).call.__module__.partition(".")[0]
    return graph if package in ("keras", "keras_transfer") else None


def ordered_nodes(graph: Functional) -> list:
    """List a graph's nodes from input to output, without the inputs."""
    by_depth = graph._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if not node.is_input
    ]


def descendants(nodes: list, starts: set) -> set:
    """Collect operations, and those that are used after them only."""
    reached, found, elsewhere = set(), set(), set()
    for node in nodes:
        depends = any(id(tensor) in reached for tensor in node.input_tensors)
        if depends or node.operation in starts:
            reached.update(map(id, node.outputs))
            found.add(node.operation)
        else:
            elsewhere.add(node.operation)
    return found - elsewhere


def ancestors(nodes: list, end) -> set:
    """Collect the operations that an operation depends on."""
    needed, found = set(), set()
    for node in reversed(nodes):
        is_end = node.operation is end
        if is_end or any(id(tensor) in needed for tensor in node.outputs):
            needed.update(map(id, node.input_tensors))
            if not is_end:
                found.add(node.operation)
    return found


def holds_weights(operation) -> bool:
    """Tell whether an operation is a layer with weights."""
    return bool(getattr(operation, "weights", None))


def transforms(operation) -> bool:
    """Tell whether an operation has weights and is no normalization.

    Nor is it a `LateralConnection`, which only adds to what a block makes.
    """
    return (
        holds_weights(operation)
        and not isinstance(operation, _NORMALIZATIONS)
        and not getattr(operation, "is_side_path", False)
    )


def group_operations(nodes: list, outputs: list) -> list[list]:
    """Partition the operations of a graph into runs from input to output.

    The first run is the stem, each further one a block of the network, found
    by the names of its layers or, where these say nothing, by the shape of
    the graph. No operation depends on a later run where it is first used, so
    the network can be cut between any two.

    Args:
        nodes: The nodes of a functional graph, from input to output. A nested
            model counts as one operation.
        outputs: The output tensors of the graph.

    Returns:
        Lists of operations in depth order, each holding some weights unless
        the whole graph has none. Input layers are left out.
    """
    operations = list(dict.fromkeys(node.operation for node in nodes))
    weighted = [holds_weights(operation) for operation in operations]
    blocks = find_blocks([op.name for op in operations], weighted)
    if blocks is None:
        wanted = _blocks_by_shape(nodes, outputs)
    else:
        wanted = _number_blocks(operations, blocks)
    runs = {}
    placed = _place(nodes, wanted)
    for operation in operations:
        runs.setdefault(placed[operation], []).append(operation)
    return _merge_weightless([runs[index] for index in sorted(runs)])


def _number_blocks(operations: list, blocks: list) -> dict:
    numbers = {
        block: number
        for number, block in enumerate(dict.fromkeys(filter(None, blocks)), 1)
    }
    # A network such as VGG names its first layer as part of a block; it is
    # the stem all the same, with what follows it, and the blocks keep their
    # numbers.
    heavy = [n for n, op in enumerate(operations) if transforms(op)]
    first, second, *_ = [*heavy, 0, 0]
    return {
        operation: 0
        if position < second and block == blocks[first]
        else numbers[block]
        for position, (operation, block) in enumerate(
            zip(operations, blocks, strict=True)
        )
        if block is not None
    }


def _blocks_by_shape(nodes: list, outputs: list) -> dict:
    """Number blocks by the places where one tensor alone is alive.

    What lies between two such places is a plain layer, or a block with
    several paths (residual, inception). Each layer with weights, other than
    normalization, begins a new block; where there are blocks with several
    paths, the plain layers before the first of them are the stem.
    """
    segments = _split_largest(_segments(nodes, outputs))
    heavy = [_count_heavy(segment) > 0 for segment in segments]
    branched = [
        position
        for position, segment in enumerate(segments)
        if len(segment) > 1 and heavy[position]
    ]
    first_block = branched[0] if branched else 0
    wanted, number = {}, 0
    for position, segment in enumerate(segments):
        follows = any(heavy[:position])
        if heavy[position] and position >= first_block and follows:
            number += 1
        for node in segment:
            wanted.setdefault(node.operation, number)
    return wanted


def _count_heavy(segment: list) -> int:
    return sum(transforms(node.operation) for node in segment)


def _split_largest(segments: list[list]) -> list[list]:
    """Split what is most of a network wherever the tensors' shape changes.

    Skips that span the network (U-net) leave no place for a cut by a single
    tensor.
    """
    sizes = [_count_heavy(segment) for segment in segments]
    parts = []
    for segment, size in zip(segments, sizes, strict=True):
        shape = None
        parts.append([])
        for node in segment:
            is_large = size > 8 and size > sum(sizes) / 2
            if is_large and transforms(node.operation):
                if shape not in (None, node.outputs[0].shape):
                    parts.append([])
                shape = node.outputs[0].shape
            parts[-1].append(node)
    return parts


def _segments(nodes: list, outputs: list) -> list[list]:
    """Split the nodes after each one that leaves a single tensor alive.

    Masks, which many layers of a text network read, do not count.
    """
    uses = Counter(id(t) for node in nodes for t in node.input_tensors)
    uses.update(id(tensor) for tensor in outputs)
    alive = set()
    segments, segment = [], []
    for node in nodes:
        segment.append(node)
        uses.subtract(id(tensor) for tensor in node.input_tensors)
        for tensor in (*node.input_tensors, *node.outputs):
            if uses[id(tensor)] and "float" in tensor.dtype:
                alive.add(id(tensor))
            else:
                alive.discard(id(tensor))
        if len(alive) == 1:
            segments.append(segment)
            segment = []
    return [*segments, segment] if segment else segments


def _place(nodes: list, wanted: dict) -> dict:
    """Give each operation a run that no earlier run depends on.

    An operation that is used again later on stays where it is used first.
    """
    placed, made_in = {}, {}
    for node in nodes:
        run = max(
            wanted.get(node.operation, 0),
            placed.get(node.operation, 0),
            *(made_in.get(id(tensor), 0) for tensor in node.input_tensors),
        )
        placed.setdefault(node.operation, run)
        made_in.update({id(tensor): run for tensor in node.outputs})
    _move_side_paths(nodes, placed, wanted)
    return placed


def _move_side_paths(nodes: list, placed: dict, wanted: dict) -> None:
    """Move unnamed operations on a shortcut to the block that they feed.

    A pooling (ResNetV2), convolution (Xception) or activation (NASNet) on a
    shortcut reads a tensor that leaves its block anyway: left with the block
    before, it would be trained with the wrong block and make the cut one
    tensor wider.
    """
    readers, maker = {}, {}
    for node in nodes:
        maker.update({id(tensor): node for tensor in node.outputs})
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node)
    uses = Counter(node.operation for node in nodes)

    def target(node) -> int:
        fed = [n for t in node.outputs for n in readers.get(id(t), ())]
        return min((placed[n.operation] for n in fed), default=0)

    def is_movable(node) -> bool:
        return (
            node.operation not in wanted
            and uses[node.operation] == 1
            and len(node.input_tensors) == 1
        )

    for last in reversed(nodes):
        path, node, run = [], last, target(last)
        while node and is_movable(node) and placed[node.operation] < run:
            path.append(node.operation)
            source = id(node.input_tensors[0])
            node = maker.get(source)
            others = [n for n in readers[source] if n.operation not in path]
            if others:
                made_in = placed[node.operation] if node else 0
                if any(
                    placed[n.operation] > made_in
                    or (is_movable(n) and target(n) > made_in)
                    for n in others
                ):
                    placed.update(dict.fromkeys(path, run))
                break


def _merge_weightless(runs: list[list]) -> list[list]:
    merged = []
    for run in runs:
        if merged and not (
            any(map(holds_weights, run)) and any(map(holds_weights, merged[-1]))
        ):
            merged[-1].extend(run)
        else:
            merged.append(run)
    return merged
