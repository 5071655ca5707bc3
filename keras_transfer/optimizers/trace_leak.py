"""Let TensorFlow forget train steps that are no longer used."""

from tensorflow.python.framework import ops

_ALL_REDUCE = "ReplicaContextBase.all_reduce."


def forget_reduced_gradients() -> None:
    """Drop what keeps the graphs of earlier train steps alive.

    TensorFlow 2.21: a step of a Keras optimizer sums gradients over replicas,
    of which there is mostly one, by an operation with a gradient of its own.
    Each time it is traced, a function for that gradient goes into a registry
    for good, and with it the whole graph. It would serve to differentiate
    the train step itself.
    """
    registry = ops.gradient_registry._registry
    for name, entry in list(registry.items()):
        if name.startswith("CustomGradient-") and _belongs(entry["type"]):
            del registry[name]


def _belongs(function, depth: int = 3) -> bool:
    """Tell whether a function, or one it closes over, is of an all-reduce."""
    if getattr(function, "__qualname__", "").startswith(_ALL_REDUCE):
        return True
    cells = getattr(function, "__closure__", None) or ()
    return depth > 0 and any(
        callable(cell.cell_contents) and _belongs(cell.cell_contents, depth - 1)
        for cell in cells
        if _is_filled(cell)
    )


def _is_filled(cell) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
