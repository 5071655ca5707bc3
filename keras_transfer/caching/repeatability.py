"""Whether a data set gives the same each time that it is read."""

import re
from collections.abc import Iterator

import tensorflow as tf

# Of a shuffled data set they give other examples each time.
_CHOOSING = ("take", "skip", "shard")
_VARYING = re.compile("Shuffle|Random|Rng|PyFunc|Multinomial")


def shuffles(data: tf.data.Dataset) -> bool:
    """Tell whether a data set has another order in each pass."""
    return data.options().deterministic is False or any(
        ("shuffle" in _name(part) and _reshuffles(part))
        or getattr(part, "_deterministic", None) == "false"
        for part in _list_parts(data)
    )


def may_vary(data: tf.data.Dataset) -> bool:
    """Tell whether what a data set calls may give something else each time.

    It draws random numbers, shuffles within `interleave` or `flat_map`, is
    made by Python, or chooses from what is shuffled.
    """
    if shuffles(data) and any(
        word in _name(part) for part in _list_parts(data) for word in _CHOOSING
    ):
        return True
    return any(
        _VARYING.search(name)
        for part in _list_parts(data)
        for function in part._functions()
        for name in _list_operations(function.function.graph)
    )


def drops_remainder(data: tf.data.Dataset) -> bool:
    """Tell whether a data set leaves out what does not fill a batch."""
    return any(
        getattr(part, "_drop_remainder", False) for part in _list_parts(data)
    )


def _name(part) -> str:
    return type(part).__name__.lower()


def _reshuffles(part) -> bool:
    return getattr(part, "_reshuffle_each_iteration", None) is not False


def _list_parts(data) -> Iterator[tf.data.Dataset]:
    yield data
    for part in data._inputs():
        yield from _list_parts(part)


def _list_operations(graph) -> Iterator[str]:
    definition = graph.as_graph_def()
    yield from (node.op for node in definition.node)
    for function in definition.library.function:
        yield from (node.op for node in function.node_def)
