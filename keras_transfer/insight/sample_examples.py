"""Some examples of a data set that may be large."""

import heapq
from collections import Counter

import keras
import numpy as np

from keras_transfer.data.labelled_batches import iterate_batches
from keras_transfer.data.labelled_data import class_numbers

# Its multiples fill [0, 1) evenly, however many there are.
_STEP = (5**0.5 - 1) / 2


def sample_examples(
    data, most: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw examples, of each class as many as is its share.

    It goes once over the data, and holds no more than it returns. Each
    example has a key in [0, 1), and those with the lowest keys are kept. The
    keys of a class are evenly spread, so that shares are right to one or two
    examples.

    Args:
        data: A data set of batches `(x, y)`, where `x` is one tensor.
        most: How many examples to draw at most. If there are no more, all are
            returned, in their order.
        seed: Seed of where the keys of each class begin.

    Returns:
        Tuple `(x, y)` of arrays: the examples, and the numbers of their
        classes in int64.

    Raises:
        ValueError: If there are no examples, they are not all of one shape,
            or labels are no classes.
    """
    starts, counts = {}, Counter()
    heap, kept, labels = [], None, []
    random = np.random.default_rng(seed)
    for x, y in iterate_batches(data):
        x = _as_array(x)
        if not len(x):
            continue
        if kept is None:
            kept = np.empty((most, *x.shape[1:]), x.dtype)
        if x.shape[1:] != kept.shape[1:]:
            raise ValueError(
                "All examples must have one shape. Received: data with "
                f"examples of shapes {kept.shape[1:]} and {x.shape[1:]}"
            )
        numbers = class_numbers(keras.ops.convert_to_numpy(y))
        for example, label in zip(x, numbers.tolist(), strict=True):
            if label not in starts:
                starts[label] = random.uniform()
            key = (starts[label] + counts[label] * _STEP) % 1
            counts[label] += 1
            if len(heap) < most:
                slot = len(heap)
                labels.append(label)
                heapq.heappush(heap, (-key, slot))
            elif key < -heap[0][0]:
                slot = heap[0][1]
                labels[slot] = label
                heapq.heapreplace(heap, (-key, slot))
            else:
                continue
            kept[slot] = example
    if kept is None:
        raise ValueError(f"There are no examples. Received: data={data!r}")
    return kept[: len(labels)], np.array(labels, "int64")


def _as_array(x) -> np.ndarray:
    if keras.tree.is_nested(x):
        raise ValueError(
            "Examples must be one tensor each: backbones have one input. "
            f"Received: data with inputs in a {type(x).__name__}"
        )
    return keras.ops.convert_to_numpy(x)
