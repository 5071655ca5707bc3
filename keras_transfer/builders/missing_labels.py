"""Which labels of a task are missing, and what loss and metrics see of it."""

import math

import keras
from keras import ops

# NaN is not above or equal to anything.
_LEAST = {"regression": -math.inf}


def is_present(labels, kind: str):
    """Tell labels that are there from those that are missing.

    Args:
        labels: Array or tensor of labels; a tensor for `"regression"` must be
            of a floating dtype.
        kind: As of a `Task`. NaN is missing everywhere, and a negative number
            wherever a label is a class, or yes or no.

    Returns:
        Booleans in the shape of the labels.
    """
    return labels >= _LEAST.get(kind, 0)


def line_up_labels(labels, outputs, kind: str, sample_weight=None) -> tuple:
    """Give each label of a batch a row of its own, missing ones marked.

    Args:
        labels: `(batch,)` or `(batch, 1)`; for `"multi_label"`
            `(batch, units)`. Of any numeric dtype.
        outputs: What the model returned for them, `(batch, units)`.
        kind: As of a `Task`.
        sample_weight: `(batch,)` or `(batch, 1)`, or `None`.

    Returns:
        Tuple `(labels, outputs, present, sample_weight)`: floating labels,
        `(rows,)` for `"classes"` and otherwise `(rows, 1)`, with 0 for each
        one that is missing; the outputs, as they are where a row is an
        example; booleans `(rows,)`; and weights `(rows,)` or `None`.

    Raises:
        ValueError: If labels have another shape.
    """
    labels, outputs = (
        ops.convert_to_tensor(part, dtype=keras.config.floatx())
        for part in (labels, outputs)
    )
    units = outputs.shape[-1] if kind == "multi_label" else 1
    if len(labels.shape) not in (1, 2) or labels.shape[1:] not in (
        (units,),
        () if units == 1 else None,
    ):
        many = f"(batch, {units}), 0 or 1 for each of the {units}"
        raise ValueError(
            f"Labels of a task of kind {kind!r} must have the shape "
            f"{many if units > 1 else '(batch,) or (batch, 1)'}. "
            f"Received: labels of shape {tuple(labels.shape)}"
        )
    present = ops.reshape(is_present(labels, kind), (-1,))
    shape = (-1,) if kind == "classes" else (-1, 1)
    labels = ops.reshape(labels, shape)
    labels = ops.where(ops.reshape(present, shape), labels, 0.0)
    if sample_weight is not None:
        sample_weight = ops.reshape(sample_weight, (-1,))
    if units > 1:
        outputs = ops.reshape(outputs, (-1, 1))
        if sample_weight is not None:
            sample_weight = ops.repeat(sample_weight, units)
    return labels, outputs, present, sample_weight
